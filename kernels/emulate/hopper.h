// hopper.h's instructions on a CPU. A tensor map is {address, bytes between rows, width, height}; tiles arrive when somebody
// waits for them (Eager: at once), products when they are waited for.
#pragma once
#include "emulate.h"

inline uint shared_address(const void* p) { return (uint)((const char*)p - emulate::block->base); }

namespace emulate {
struct Tile { char* to; const TensorMap* map; int x, y; };
struct Product { float (*c)[4]; u64 a, b; };

inline void arrive(const Tile& tile)
{
    auto& map = tile.map->Words;
    for (int r = 0; r < TileSide; r++)
        for (int k = 0; k < HopperDepth; k++) {
            int row = tile.y + r, at = tile.x + k;
            uint to = shared_address(tile.to) + r * HopperDepth * 2 + k * 2;
            to ^= (to >> 7 & 7) << 4;
            bool exists = row >= 0 && row < (i64)map[3] && at >= 0 && at < (i64)map[2];
            *(bf16*)(block->base + to) = exists ? ((const bf16*)(map[0] + row * map[1]))[at] : 0;
        }
}

// Element (row, k) of the operand that a descriptor names.
inline float operand(u64 descriptor, int row, int k)
{
    if (descriptor >> 62 != 1) fail("a descriptor whose permutation is not that of 128 bytes");
    uint at = (uint)(descriptor & 0x3FFF) * 16 + row / 8 * (uint)(descriptor >> 32 & 0x3FFF) * 16 + row % 8 * 128 + k * 2;
    at ^= (at >> 7 & 7) << 4;
    check_shared(block->base + at, 2, "multiply_async");
    uint bits = (uint)*(const bf16*)(block->base + at) << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
}

inline void arrivals_init(u64* at, int count) { emulate::check_shared(at, 8, "arrivals_init"); emulate::block->arrivals[at] = {count}; }
inline void arrivals_publish() {}
inline void acquire(const TensorMap* map) { emulate::check_aligned(map, 64, "a tensor map"); }
inline void arrivals_expect(u64* at, int bytes) { emulate::block->arrivals.at(at).expect(bytes); }

inline void load_tile(void* to, const TensorMap* map, int x, int y, u64* at)
{
    emulate::check_aligned((void*)(u64)shared_address(to), HopperAlignment, "load_tile to");
    emulate::check_aligned((void*)map->Words[0], 16, "load_tile from");
    emulate::check_aligned((void*)map->Words[1], 16, "load_tile between rows");
    emulate::check_shared(to, HopperTileBytes, "load_tile");
    emulate::Tile tile{(char*)to, map, x, y};
    bool eager = emulate::block->launch.Eager;
    if (eager) emulate::arrive(tile);
    emulate::block->arrivals.at(at).add(HopperTileBytes, [=] { if (!eager) emulate::arrive(tile); });
}

inline void arrivals_wait(u64* at, int parity)
{
    emulate::wait_until([&] { return emulate::block->arrivals.at(at).passed(parity); });
}

inline std::vector<emulate::Product>& products()
{
    static thread_local std::vector<emulate::Product> of[1024];
    return of[emulate::block->thread];
}
inline void products_begin() { products().clear(); }
inline void multiply_async(float (&c)[16][4], u64 a, u64 b) { products().push_back({c, a, b}); }

// All 128 threads of a warpgroup.
inline void products_end()
{
    emulate::Block& block = *emulate::block;
    emulate::meet(block.warpgroups[block.thread / 128], 128, block.thread % 128, "products_end", &products(), [](void** brought) {
        auto of = [&](int t) -> std::vector<emulate::Product>& { return *(std::vector<emulate::Product>*)brought[t]; };
        for (size_t n = 0; n < of(0).size(); n++) {
            static thread_local float left[64][16], right[16][128];
            for (int k = 0; k < 16; k++) {
                for (int r = 0; r < 64; r++) left[r][k] = emulate::operand(of(0)[n].a, r, k);
                for (int c = 0; c < 128; c++) right[k][c] = emulate::operand(of(0)[n].b, c, k);
            }
            for (int r = 0; r < 64; r++) {
                double sums[128] = {};
                for (int k = 0; k < 16; k++)
                    for (int c = 0; c < 128; c++) sums[c] += (double)(left[r][k] * right[k][c]);
                for (int c = 0; c < 128; c++) {
                    int t = r / 16 * 32 + r % 8 * 4 + c % 8 / 2;
                    auto& product = of(t)[n];
                    if (product.a != of(0)[n].a || product.b != of(0)[n].b) emulate::fail("a warpgroup's threads name different tiles");
                    float& to = product.c[c / 8][r % 16 / 8 * 2 + c % 2];
                    to = (float)(to + sums[c]);
                }
            }
        }
        for (int t = 0; t < 128; t++) of(t).clear();
    });
}
