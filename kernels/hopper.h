// Compute capability 9.0's own way to a block's product of 128×128: tensor maps bring whole tiles to shared memory with one
// instruction of one thread, which a barrier counts in bytes, and a warpgroup of 128 threads multiplies 64×128×16 straight from
// there (wgmma). Both operands along the depth (NT): what the head's cosines are.
//
// 256 threads, two warpgroups of 64×128; steps of 64 of the depth through a ring of three stages of 32 KB, so that two blocks
// share an SM and one's barriers and epilogue hide behind the other's products. A product is waited for within its step: no sum is in
// flight where the compiler might move registers. Thread 0 refills a stage once both warpgroups are done with it.
// A tile is [128 rows][64] in rows of 128 bytes, whose 16-byte chunks the tensor map permutes by (row & 7) as wgmma expects.
#pragma once
#include "tile.h"

constexpr int HopperDepth = 64, HopperStages = 3, HopperTileBytes = TileSide * HopperDepth * 2, HopperStageBytes = 2 * HopperTileBytes, HopperAlignment = 1024;

// An operand's descriptor, made by cuTensorMapEncodeTiled on the host (CudaKernels.Hopper.cs says with what) and copied to global memory.
struct alignas(64) TensorMap { u64 Words[16]; };

#ifdef EMULATE
#include "emulate/hopper.h"
#else
DEVICE void arrivals_init(u64* at, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(at)), "r"(count) : "memory"); }
// Makes initialised barriers known to the units that copy tiles.
DEVICE void arrivals_publish() { asm volatile("fence.mbarrier_init.release.cluster; fence.proxy.async.shared::cta;" ::: "memory"); }
DEVICE void arrivals_expect(u64* at, int bytes) { asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(at)), "r"(bytes) : "memory"); }
DEVICE void arrivals_wait(u64* at, int parity)
{
    uint done = 0;
    while (!done)
        asm volatile("{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, 0, p;}" : "=r"(done) : "r"(shared_address(at)), "r"(parity) : "memory");
}
// A tensor map that the host copied to global memory, made visible to the units that read it.
DEVICE void acquire(const TensorMap* map) { asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(map) : "memory"); }
DEVICE void load_tile(void* to, const TensorMap* map, int x, int y, u64* arrivals)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 ::"r"(shared_address(to)), "l"(map), "r"(shared_address(arrivals)), "r"(x), "r"(y) : "memory");
}

DEVICE void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Waits for all products since begin.
DEVICE void products_end() { asm volatile("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

#define FOUR(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
// c += a·bᵀ, 64×128×16, of the tiles that two descriptors name. Thread t of the warpgroup holds of the rows
// t/32·16 + t%32/4 (+ 8) and columns 8j + t%4·2, + 1 the sums c[j][0], [1] (and [2], [3]).
DEVICE void multiply_async(float (&c)[16][4], u64 a, u64 b)
{
    asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "%64, %65, p, 1, 1, 0, 0;}"
                 : FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7), FOUR(8), FOUR(9), FOUR(10), FOUR(11), FOUR(12), FOUR(13), FOUR(14), FOUR(15)
                 : "l"(a), "l"(b), "r"(1) : "memory");
}
#undef FOUR
#endif

// Names 8-row groups of 1024 bytes, permuted by 128 bytes, from an address within the first row on.
DEVICE u64 tile_descriptor(const void* p) { return (u64)(shared_address(p) & 0x3FFFF) >> 4 | 1ull << 16 | (u64)(1024 >> 4) << 32 | 1ull << 62; }

// Rows from Row on of a matrix [rows][depth].
struct TensorTile {
    const TensorMap* Map;
    int Row;
};

struct HopperSums {
    static constexpr int Rows = 1, Columns = 16, Stacked = 8, SideBySide = 1;
    float At[Rows][Columns][4] = {};

    static DEVICE int warp_row() { return thread_index() / 32; }
    static DEVICE int warp_column() { return 0; }
    static DEVICE int row(int, int half) { return warp_row() * 16 + half * 8 + lane_index() / 4; }
    static DEVICE int column(int j) { return j * 8 + lane_index() % 4 * 2; }

    // += a·bᵀ over the depth from `first` on. All of a block's shared memory is free for other use afterwards.
    DEVICE void multiply(TensorTile a, TensorTile b, int first, int steps, char* shared)
    {
        uint start = shared_address(shared);
        char* ring = shared + ((start + HopperAlignment - 1) / HopperAlignment * HopperAlignment - start);
        auto full = (u64*)(ring + HopperStages * HopperStageBytes);
        auto fetch = [&](int step) {
            char* stage = ring + step % HopperStages * HopperStageBytes;
            u64* arrivals = full + step % HopperStages;
            arrivals_expect(arrivals, HopperStageBytes);
            load_tile(stage, a.Map, first + step * HopperDepth, a.Row, arrivals);
            load_tile(stage + HopperTileBytes, b.Map, first + step * HopperDepth, b.Row, arrivals);
        };
        bool first_thread = thread_index() == 0;
        if (first_thread) {
            for (int s = 0; s < HopperStages; s++) arrivals_init(full + s, 1);
            arrivals_publish();
            acquire(a.Map);
            acquire(b.Map);
        }
        barrier();
        if (first_thread)
            for (int s = 0; s < least(HopperStages, steps); s++) fetch(s);
        ROLLED
        for (int step = 0; step < steps; step++) {
            arrivals_wait(full + step % HopperStages, step / HopperStages & 1);
            char *left = ring + step % HopperStages * HopperStageBytes + thread_index() / 128 * 64 * 128, *right = ring + step % HopperStages * HopperStageBytes + HopperTileBytes;
            products_begin();
            UNROLL
            for (int k = 0; k < HopperDepth; k += 16) multiply_async(At[0], tile_descriptor(left + k * 2), tile_descriptor(right + k * 2));
            products_end();
            barrier();
            if (first_thread && step + HopperStages < steps) fetch(step + HopperStages);
        }
    }
};
