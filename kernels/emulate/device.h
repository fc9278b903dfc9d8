// cu.h in plain C++: the same names, run by the fibers of emulate.h. Products of two bf16 are exact in float; their sums are rounded to float once an instruction.
#pragma once
#include "emulate.h"
#include <cmath>

#define DEVICE inline __attribute__((always_inline))
#define UNROLL
#define ROLLED
#define KERNEL(name, threads, Arguments)                                                                            \
    static void name##_body(const Arguments& args);                                                                 \
    extern "C" const char* name(const emulate::Launch* launch, const Arguments* args, int bytes)                    \
    {                                                                                                               \
        if (bytes != sizeof(Arguments)) return "the argument structs of C++ and C# differ in size";                 \
        Arguments copy = *args;                                                                                     \
        return emulate::run(*launch, threads, [&] { name##_body(copy); });                                          \
    }                                                                                                               \
    static void name##_body(const Arguments& args)

DEVICE int thread_index() { return emulate::block->thread; }
DEVICE int block_x() { return emulate::block->x; }
DEVICE int block_y() { return emulate::block->y; }
DEVICE int block_z() { return emulate::block->z; }
DEVICE char* shared_memory() { return emulate::block->shared; }
inline void barrier() { emulate::meet(emulate::block->all, emulate::block->launch.Threads, emulate::block->thread, "barrier", nullptr, [](void**) {}); }

inline void copy_async(void* to, const void* from, int bytes)
{
    emulate::check_aligned(to, 16, "copy_async to");
    emulate::check_aligned(from, 16, "copy_async from");
    emulate::check_shared(to, 16, "copy_async");
    auto& group = emulate::block->fibers[thread_index()].copies.back();
    group.push_back({to, from, bytes});
    if (emulate::block->launch.Eager) emulate::complete(group);
}
inline void copy_commit() { emulate::block->fibers[thread_index()].copies.emplace_back(); }
template <int pending> void copy_wait()
{
    auto& groups = emulate::block->fibers[thread_index()].copies;
    while (groups.size() > pending + 1) {
        emulate::complete(groups.front());
        groups.erase(groups.begin());
    }
}

inline void load16(uint (&to)[4], const void* from) { emulate::check_aligned(from, 16, "load16"); memcpy(to, from, 16); }
inline void store16(void* to, const uint (&from)[4]) { emulate::check_aligned(to, 16, "store16"); memcpy(to, from, 16); }
inline void store16_shared(void* to, const uint (&from)[4])
{
    emulate::check_aligned(to, 16, "store16_shared");
    emulate::check_shared(to, 16, "store16_shared");
    emulate::store(to);
    memcpy(to, from, 16);
}

inline void load16_shared(uint (&to)[4], const void* from)
{
    emulate::check_aligned(from, 16, "load16_shared");
    emulate::check_shared(from, 16, "load16_shared");
    memcpy(to, from, 16);
}

struct MatrixRow { const bf16* row; uint* to; };

template <bool transposed> void load_matrices_as(uint (&to)[4], const void* row)
{
    emulate::check_aligned(row, 16, "load_matrices");
    emulate::check_shared(row, 16, "load_matrices");
    MatrixRow mine{(const bf16*)row, to};
    emulate::meet_warp("load_matrices", &mine, [](void** lanes) {
        auto lane = [&](int l) { return (MatrixRow*)lanes[l]; };
        for (int m = 0; m < 4; m++) {
            int rows[8] = {};   // of each 16-byte column of the banks
            for (int r = 0; r < 8; r++) emulate::block->conflicts += rows[(u64)lane(8 * m + r)->row / 16 % 8]++ > 0;
            for (int l = 0; l < 32; l++) {
                int g = l / 4, t = 2 * (l % 4);
                bf16 first = transposed ? lane(8 * m + t)->row[g] : lane(8 * m + g)->row[t];
                bf16 second = transposed ? lane(8 * m + t + 1)->row[g] : lane(8 * m + g)->row[t + 1];
                lane(l)->to[m] = first | (uint)second << 16;
            }
        }
    });
}
inline void load_matrices(uint (&to)[4], const void* row) { load_matrices_as<false>(to, row); }
inline void load_matrices_transposed(uint (&to)[4], const void* row) { load_matrices_as<true>(to, row); }

DEVICE float as_float(uint bits) { float y; memcpy(&y, &bits, 4); return y; }

struct Fragments { float* c; const uint* a; const uint* b; };

// The half of a register that holds an element.
inline float element(uint two, int half) { return as_float(half ? two & 0xffff0000u : two << 16); }

// Fragments of 16×16 (a) and 16×8 (b), spread out as mma.sync.m16n8k16 defines.
inline void spread_left(Fragments* const* lanes, int i, float (&to)[16][16])
{
    for (int l = 0; l < 32; l++)
        for (int r = 0; r < 4; r++)
            for (int half = 0; half < 2; half++) to[l / 4 + 8 * (r % 2)][2 * (l % 4) + half + 8 * (r / 2)] = element(lanes[l]->a[4 * i + r], half);
}
inline void spread_right(Fragments* const* lanes, int j, float (&to)[16][8])
{
    for (int l = 0; l < 32; l++)
        for (int r = 0; r < 2; r++)
            for (int half = 0; half < 2; half++) to[2 * (l % 4) + half + 8 * r][l / 4] = element(lanes[l]->b[2 * j + r], half);
}

template <int rows, int columns> void multiply_add(float (&c)[rows][columns][4], const uint (&a)[rows][4], const uint (&b)[columns][2])
{
    Fragments mine{&c[0][0][0], &a[0][0], &b[0][0]};
    emulate::meet_warp("multiply_add", &mine, [](void** lanes) {
        auto all = (Fragments* const*)lanes;
        float left[16][16], right[columns][16][8];
        for (int j = 0; j < columns; j++) spread_right(all, j, right[j]);
        for (int i = 0; i < rows; i++) {
            spread_left(all, i, left);
            for (int j = 0; j < columns; j++) {
                double sums[16][8] = {};
                for (int r = 0; r < 16; r++)
                    for (int k = 0; k < 16; k++)
                        for (int n = 0; n < 8; n++) sums[r][n] += (double)(left[r][k] * right[j][k][n]);
                for (int l = 0; l < 32; l++)
                    for (int e = 0; e < 4; e++) {
                        float& to = all[l]->c[(i * columns + j) * 4 + e];
                        to = (float)(to + sums[l / 4 + 8 * (e / 2)][2 * (l % 4) + e % 2]);
                    }
            }
        }
    });
}

struct Exchange { float value; float result; int mask; };
inline float shuffle_xor(float value, int mask)
{
    Exchange mine{value, 0, mask};
    emulate::meet_warp("shuffle_xor", &mine, [](void** lanes) {
        for (int l = 0; l < 32; l++) {
            auto& exchange = *(Exchange*)lanes[l];
            exchange.result = ((Exchange*)lanes[l ^ exchange.mask])->value;
        }
    });
    return mine.result;
}

DEVICE void atomic_or(uint* to, uint bits) { *to |= bits; }
DEVICE float exp2_fast(float x) { return exp2f(x); }
DEVICE float log2_fast(float x) { return log2f(x); }
DEVICE float root(float x) { return sqrtf(x); }

DEVICE uint round_bf16(float x)
{
    uint bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
DEVICE uint pack(float low, float high) { return round_bf16(low) | round_bf16(high) << 16; }
