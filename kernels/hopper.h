// Compute capability 9.0's own way to a block's product of 128×128 (or 128×64): tensor maps bring boxes of 64 lines of 128 bytes
// to shared memory, each by one instruction of one thread, which a barrier counts in bytes, and a warpgroup of 128 threads
// multiplies 64×128×16 straight from there (wgmma).
//
// 256 threads, two warpgroups of 64×128; steps of 64 of the depth through a ring of three stages of 32 KB, so that two blocks
// share an SM and one's barriers and epilogue hide behind the other's products. A product is waited for within its step: no sum is in
// flight where the compiler might move registers. The first thread of either warpgroup refills its half of a stage once both are done with it.
//
// Where an operand comes from is its loader's matter, as in tile.h: load brings the box of this thread's warpgroup, one step after the other. A
// loader that Changes boxes has three more turns: begin, before all; look, before a step's boxes are waited for; change, when they are there.
//
// An operand is one or two boxes, each 64 rows × 64 of the depth (AlongDepth, K-major) or 64 of the depth × 64 rows (MN-major), a
// line's eight 16-byte chunks permuted by (line & 7): tensor maps write and wgmma reads so (128-byte swizzle, which counts in
// addresses, so boxes begin at multiples of 1024). How wgmma finds its part is said by a descriptor (PTX ISA, "Matrix descriptor"; names
// in CUTLASS' mma_traits_sm90_gmma.hpp), of addresses and distances in units of 16 bytes:
//   bits 0-13 address, 62-63 permutation: 1, that of 128 bytes, 49-51 the address' line within its permutation: 0
//   bits 32-45 "stride": 1024 bytes, from eight lines to the next eight, whether these are rows or steps of the depth
//   bits 16-29 "leading": across the depth from 64 rows to the next 64, which is the next box; along it nobody reads it
// Sixteen of the depth further is 32 bytes on along it, 16 lines on across it.
#pragma once
#include "tile.h"

constexpr int HopperDepth = 64, HopperStages = 3, HopperAlignment = 1024;
constexpr int BoxSide = 64, BoxLineBytes = HopperDepth * 2, BoxBytes = BoxSide * BoxLineBytes;

// An operand's tensor map, made on the host (CudaKernels.Hopper.cs says with what) and copied to global memory.
struct alignas(64) TensorMap { u64 Words[16]; };

#ifdef EMULATE
#include "emulate/hopper.h"
#else
DEVICE void arrivals_init(u64* at, int count) { asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(at)), "r"(count) : "memory"); }
// Makes initialised barriers known to the units that copy boxes.
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
// What this thread stored to shared memory, made visible to tensor cores and to the units that copy boxes.
DEVICE void publish_stores() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// 64 lines from y on of a matrix, 64 elements from x on; zeros outside it.
DEVICE void load_box(void* to, const TensorMap* map, int x, int y, u64* arrivals)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 ::"r"(shared_address(to)), "l"(map), "r"(shared_address(arrivals)), "r"(x), "r"(y) : "memory");
}
// 64 pixels of a map NHWC, 64 channels from `channel` on: those that as many neighbouring outputs see through one tap, (row, column) of the
// kernel, the first of them the output that sees (w, h) of that image through tap (0, 0). Zeros outside the map.
DEVICE void load_pixels(void* to, const TensorMap* map, int channel, int w, int h, int image, int column, int row, u64* arrivals)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};"
                 ::"r"(shared_address(to)), "l"(map), "r"(shared_address(arrivals)), "r"(channel), "r"(w), "r"(h), "r"(image), "h"((unsigned short)column), "h"((unsigned short)row) : "memory");
}

DEVICE void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Waits for all products since begin.
DEVICE void products_end() { asm volatile("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

#define FOUR(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
// c += a·bᵀ, 64×128×16 or 64×64×16, of the operands that two descriptors name. Thread t of the warpgroup holds of the rows
// t/32·16 + t%32/4 (+ 8) and columns 8j + t%4·2, + 1 the sums c[j][0], [1] (and [2], [3]).
template <bool alongA, bool alongB> DEVICE void multiply_async(float (&c)[16][4], u64 a, u64 b)
{
    asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "%64, %65, p, 1, 1, %67, %68;}"
                 : FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7), FOUR(8), FOUR(9), FOUR(10), FOUR(11), FOUR(12), FOUR(13), FOUR(14), FOUR(15)
                 : "l"(a), "l"(b), "r"(1), "n"(alongA ? 0 : 1), "n"(alongB ? 0 : 1) : "memory");
}
template <bool alongA, bool alongB> DEVICE void multiply_async(float (&c)[8][4], u64 a, u64 b)
{
    asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
                 "%32, %33, p, 1, 1, %35, %36;}"
                 : FOUR(0), FOUR(1), FOUR(2), FOUR(3), FOUR(4), FOUR(5), FOUR(6), FOUR(7)
                 : "l"(a), "l"(b), "r"(1), "n"(alongA ? 0 : 1), "n"(alongB ? 0 : 1) : "memory");
}
#undef FOUR
#endif

// Which of the two; it loads, changes and multiplies the box of this number, where an operand has as many.
DEVICE int warpgroup() { return thread_index() / 128; }

// Names a part of an operand, from `depth` of its 64 on.
template <bool along> DEVICE u64 descriptor(const char* box, int depth)
{
    uint at = shared_address(box) + depth * (along ? 2 : BoxLineBytes);
    return (u64)(at & 0x3FFFF) >> 4 | (u64)(BoxBytes >> 4) << 16 | (u64)(8 * BoxLineBytes >> 4) << 32 | 1ull << 62;
}

// Rows from Row on and the depth from First on of a matrix [rows][depth], or where not along the depth [depth][rows].
template <bool along = true, int boxes = 2> struct TensorTile {
    static constexpr bool AlongDepth = along, Changes = false;
    static constexpr int Boxes = boxes;
    const TensorMap* Map;
    int Row, First;

    DEVICE void load(char* to, int step, u64* arrivals)
    {
        int row = Row + warpgroup() * BoxSide, depth = First + step * HopperDepth;
        load_box(to, Map, along ? depth : row, along ? row : depth, arrivals);
    }
};

template <int columns> struct HopperSumsOf {
    static constexpr int Rows = 1, Columns = columns, Stacked = 8, SideBySide = 1, Width = 8 * columns;
    float At[Rows][Columns][4] = {};

    static DEVICE int warp_row() { return thread_index() / 32; }
    static DEVICE int warp_column() { return 0; }
    static DEVICE int row(int, int half) { return warp_row() * 16 + half * 8 + lane_index() / 4; }
    static DEVICE int column(int j) { return j * 8 + lane_index() % 4 * 2; }

    // += a·bᵀ over `steps` of the depth. All of a block's shared memory is free for other use afterwards.
    template <class A, class B> DEVICE void multiply(A& a, B& b, int steps, char* shared)
    {
        static_assert(A::Boxes * BoxSide == TileSide && B::Boxes * BoxSide == Width, "operands must be as large as their product");
        constexpr int LeftBytes = A::Boxes * BoxBytes, StageBytes = LeftBytes + B::Boxes * BoxBytes;
        uint start = shared_address(shared);
        char* ring = shared + ((start + HopperAlignment - 1) / HopperAlignment * HopperAlignment - start);
        auto full = (u64*)(ring + HopperStages * StageBytes);
        auto lines = (int*)(full + HopperStages);   // what a loader that Changes keeps there
        auto fetch = [&](int step) {
            char* own = ring + step % HopperStages * StageBytes + warpgroup() * BoxBytes;
            u64* arrivals = full + step % HopperStages;
            bool both = warpgroup() < B::Boxes;
            arrivals_expect(arrivals, both ? 2 * BoxBytes : BoxBytes);
            a.load(own, step, arrivals);
            if (both) b.load(own + LeftBytes, step, arrivals);
        };
        bool loads = thread_index() % 128 == 0;
        if (thread_index() == 0) {
            for (int s = 0; s < HopperStages; s++) arrivals_init(full + s, 2);
            arrivals_publish();
        }
        if (loads) acquire(a.Map), acquire(b.Map);
        if constexpr (A::Changes) a.begin(lines);
        if constexpr (B::Changes) b.begin(lines);
        barrier();
        if (loads)
            for (int s = 0; s < least(HopperStages, steps); s++) fetch(s);
        ROLLED
        for (int step = 0; step < steps; step++) {
            char *left = ring + step % HopperStages * StageBytes, *right = left + LeftBytes, *own = left + warpgroup() * BoxBytes;
            if constexpr (A::Changes) a.look(step);
            if constexpr (B::Changes) b.look(step);
            arrivals_wait(full + step % HopperStages, step / HopperStages & 1);
            if constexpr (A::Changes) a.change(left, step);
            if constexpr (B::Changes) b.change(right, step);
            if constexpr (A::Changes || B::Changes) publish_stores(), barrier();
            products_begin();
            UNROLL
            for (int k = 0; k < HopperDepth; k += 16)
                multiply_async<A::AlongDepth, B::AlongDepth>(At[0], descriptor<A::AlongDepth>(own, k), descriptor<B::AlongDepth>(right, k));
            products_end();
            barrier();
            if (loads && step + HopperStages < steps) fetch(step + HopperStages);
        }
    }
};

using HopperSums = HopperSumsOf<16>;
