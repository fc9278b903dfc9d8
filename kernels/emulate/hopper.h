// hopper.h's instructions on a CPU. A tensor map is {address, bytes between lines, elements of a line, lines} and, where it is of a map whose
// pixels are gathered, {.., 1, width, height, images, lower w, lower h, upper w, upper h, stride}; boxes arrive when somebody
// waits for them (Eager: at once), products when they are waited for. Addresses within boxes are permuted and counted as the documents say.
#pragma once
#include "emulate.h"

inline uint shared_address(const void* p) { return (uint)((const char*)p - emulate::block->base); }

namespace emulate {
struct Product { float (*c)[4]; int columns; u64 a, b; bool alongA, alongB; };

inline uint permuted(uint at) { return at ^ (at >> 7 & 7) << 4; }

inline void put(char* box, int line, int k, bf16 value)
{
    uint to = permuted(shared_address(box) + line * BoxLineBytes + k * 2);
    check_published(to, "a box comes to a place whose stores were not published");
    *(bf16*)(block->base + to) = value;
}

inline void arrive(char* to, const u64* map, int x, int y)
{
    for (int r = 0; r < BoxSide; r++)
        for (int k = 0; k < HopperDepth; k++) {
            int line = y + r, at = x + k;
            bool exists = line >= 0 && line < (i64)map[3] && at >= 0 && at < (i64)map[2];
            put(to, r, k, exists ? ((const bf16*)(map[0] + line * map[1]))[at] : 0);
        }
}

// Base pixels go through the bounding box, by the stride, along w, then h, then images; what is loaded lies (column, row) further.
struct Walk {
    int w, h, image, lowW, lowH, highW, highH, stride;

    Walk(const u64* map, int w, int h, int image)
        : w(w), h(h), image(image), lowW((int)map[8]), lowH((int)map[9]), highW((int)map[5] - 1 + (int)map[10]), highH((int)map[6] - 1 + (int)map[11]), stride((int)map[12])
    {
        if (w < lowW || w > highW || h < lowH || h > highH) fail("load_pixels begins outside its bounding box");
    }

    void next()
    {
        if ((w += stride) <= highW) return;
        w = lowW;
        if ((h += stride) <= highH) return;
        h = lowH;
        image++;
    }
};

inline void arrive(char* to, const u64* map, int channel, Walk at, int column, int row)
{
    i64 width = (i64)map[5], height = (i64)map[6], images = (i64)map[7];
    for (int r = 0; r < BoxSide; r++, at.next()) {
        i64 w = at.w + column, h = at.h + row;
        bool exists = w >= 0 && w < width && h >= 0 && h < height && at.image >= 0 && at.image < images;
        auto pixel = exists ? (const bf16*)(map[0] + ((at.image * height + h) * width + w) * map[1]) : nullptr;
        for (int k = 0; k < HopperDepth; k++) put(to, r, k, exists && channel + k < (i64)map[2] ? pixel[channel + k] : 0);
    }
}

template <class F> void bring(void* to, const TensorMap* map, bool pixels, u64* at, F arrive)
{
    check_aligned(map, 64, "a tensor map");
    check_aligned((void*)(u64)shared_address(to), HopperAlignment, "a box to");
    check_aligned((void*)map->Words[0], 16, "a box from");
    check_aligned((void*)map->Words[1], 16, "a box between lines");
    check_shared(to, BoxBytes, "a box");
    if (map->Words[4] != pixels) fail(pixels ? "load_pixels by a matrix' tensor map" : "load_box by a gathered map's tensor map");
    bool eager = block->launch.Eager;
    if (eager) arrive();
    block->arrivals.at(at).add(BoxBytes, [=] { if (!eager) arrive(); });
}

// Element (row, k) of the operand that a descriptor names.
inline float operand(u64 descriptor, bool along, int row, int k)
{
    if (descriptor >> 62 != 1) fail("a descriptor whose permutation is not that of 128 bytes");
    auto distance = [&](int bit) { return (uint)(descriptor >> bit & 0x3FFF) * 16; };
    uint at = distance(0) + (along ? row / 8 * distance(32) + row % 8 * 128 + k * 2 : row / 64 * distance(16) + k / 8 * distance(32) + k % 8 * 128 + row % 64 * 2);
    at = permuted(at);
    check_shared(block->base + at, 2, "multiply_async");
    check_published(at, "tensor cores read a place whose stores were not published");
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
inline void publish_stores() { emulate::publish(); }

inline void load_box(void* to, const TensorMap* map, int x, int y, u64* at)
{
    emulate::bring(to, map, false, at, [=] { emulate::arrive((char*)to, map->Words, x, y); });
}

inline void load_pixels(void* to, const TensorMap* map, int channel, int w, int h, int image, int column, int row, u64* at)
{
    if ((column | row) & ~255) emulate::fail("load_pixels: a tap's place has eight bits");
    emulate::Walk walk(map->Words, w, h, image);
    emulate::bring(to, map, true, at, [=] { emulate::arrive((char*)to, map->Words, channel, walk, column, row); });
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
template <bool alongA, bool alongB, int columns> void multiply_async(float (&c)[columns][4], u64 a, u64 b) { products().push_back({c, 8 * columns, a, b, alongA, alongB}); }

// All 128 threads of a warpgroup.
inline void products_end()
{
    emulate::Block& block = *emulate::block;
    emulate::meet(block.warpgroups[block.thread / 128], 128, block.thread % 128, "products_end", &products(), [](void** brought) {
        auto of = [&](int t) -> std::vector<emulate::Product>& { return *(std::vector<emulate::Product>*)brought[t]; };
        for (size_t n = 0; n < of(0).size(); n++) {
            static thread_local float left[64][16], right[16][128];
            const auto& first = of(0)[n];
            for (int k = 0; k < 16; k++) {
                for (int r = 0; r < 64; r++) left[r][k] = emulate::operand(first.a, first.alongA, r, k);
                for (int c = 0; c < first.columns; c++) right[k][c] = emulate::operand(first.b, first.alongB, c, k);
            }
            for (int r = 0; r < 64; r++) {
                double sums[128] = {};
                for (int k = 0; k < 16; k++)
                    for (int c = 0; c < first.columns; c++) sums[c] += (double)(left[r][k] * right[k][c]);
                for (int c = 0; c < first.columns; c++) {
                    int t = r / 16 * 32 + r % 8 * 4 + c % 8 / 2;
                    auto& product = of(t)[n];
                    if (product.a != first.a || product.b != first.b) emulate::fail("a warpgroup's threads name different operands");
                    float& to = product.c[c / 8][r % 16 / 8 * 2 + c % 2];
                    to = (float)(to + sums[c]);
                }
            }
        }
        for (int t = 0; t < 128; t++) of(t).clear();
    });
}
