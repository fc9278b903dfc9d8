// A block's product of matrices on tensor cores: 128×128 (or 128×64) sums over any depth, from bf16 tiles in shared memory.
//
// 256 threads, eight warps as 2×4, each 64×32 of the result: 64 sums a thread. The depth goes by in steps of 32 through a
// ring of four stages of 16 KB, filled three steps ahead, so that copies hide behind products; one barrier a step.
// Limits: a step moves 16 KB for 2·128·128·32 operations, 64 for each byte from the L2 cache; the ring's 64 KB and some
// 128 registers a thread let two blocks share an SM of compute capability 8.0 and 9.0.
//
// Where an operand comes from is its loader's matter: begin starts to fetch its tile of a step, end finishes (what went
// through registers is stored only then, after the products of a step). A tile lies in shared memory in the order of
// global memory: along the depth (DepthLast) or across it (DepthFirst), in chunks of 16 bytes whose places are permuted so
// that the eight rows of an 8×8 matrix lie in different banks.
#pragma once
#include "cu.h"

constexpr int TileSide = 128, TileDepth = 32, TileThreads = 256, TileStages = 4, ChunkElements = 8;

// An operand's tile, [side][32 of the depth] or across it. A thread fetches Each of its chunks: chunk i holds elements of line major(i).
// Lines are rows.
template <int side> struct DepthLastOf {
    static constexpr bool AlongDepth = true;
    static constexpr int Side = side, Each = side / 64, Bytes = side * TileDepth * 2;
    static DEVICE int major(int i) { return thread_index() / 4 + 64 * i; }
    static DEVICE int chunk(int) { return thread_index() % 4; }
    static DEVICE int offset(int row, int chunk) { return row * 64 + ((chunk ^ (row >> 1 & 3)) << 4); }
    // 16 rows × 16 of the depth as four 8×8 matrices, in the order in which the product takes its left or right operand.
    template <bool right> static DEVICE void fragment(uint (&to)[4], const char* tile, int row, int depth)
    {
        int l = lane_index(), lower = l >> 3 & 1, upper = l >> 4;
        load_matrices(to, tile + offset(row + 8 * (right ? upper : lower) + (l & 7), depth / 8 + (right ? lower : upper)));
    }
};

// Lines are steps of the depth.
template <int side> struct DepthFirstOf {
    static constexpr bool AlongDepth = false;
    static constexpr int Side = side, Each = side / 64, Bytes = side * TileDepth * 2, LineChunks = side / ChunkElements;
    static DEVICE int major(int i) { return thread_index() / LineChunks + TileThreads / LineChunks * i; }
    static DEVICE int chunk(int) { return thread_index() % LineChunks; }
    static DEVICE int offset(int depth, int chunk) { return depth * side * 2 + ((chunk ^ (depth & 7)) << 4); }
    template <bool right> static DEVICE void fragment(uint (&to)[4], const char* tile, int row, int depth)
    {
        int l = lane_index(), lower = l >> 3 & 1, upper = l >> 4;
        load_matrices_transposed(to, tile + offset(depth + 8 * (right ? lower : upper) + (l & 7), row / 8 + (right ? upper : lower)));
    }
};

using DepthLast = DepthLastOf<TileSide>;
using DepthFirst = DepthFirstOf<TileSide>;

// Eight elements, of which the first `valid` are loaded.
DEVICE void load_some(uint (&to)[4], const bf16* from, int valid)
{
    UNROLL
    for (int i = 0; i < 4; i++) to[i] = (2 * i < valid ? from[2 * i] : 0) | (uint)(2 * i + 1 < valid ? from[2 * i + 1] : 0) << 16;
}
DEVICE void load_some(uint (&to)[4], const float* from, int valid)
{
    UNROLL
    for (int i = 0; i < 4; i++) to[i] = pack(2 * i < valid ? from[2 * i] : 0, 2 * i + 1 < valid ? from[2 * i + 1] : 0);
}

// A matrix in memory: lines `pitch` elements apart, of which `lines` × `length` exist; the rest counts as zeros. Of bf16, or of
// floats that are rounded on the way. The block's part begins at row `row` (along the lines' number for DepthLast, in the
// line for DepthFirst) and at `depth` of the depth.
template <class T, class Layout_> struct Matrix {
    using Layout = Layout_;
    static constexpr bool Late = sizeof(T) == 4;   // floats wait in registers for their store
    const T* Data;
    i64 Pitch;
    int Lines, Length, Row, Depth;
    bool Aligned;
    uint held[Layout::Each][4];

    DEVICE Matrix(const T* data, i64 pitch, int lines, int length, int row, int depth)
        : Data(data), Pitch(pitch), Lines(lines), Length(length), Row(row), Depth(depth), Aligned(!Late && is_aligned(data, pitch, 16)) {}

    DEVICE void begin(char* tile, int step)
    {
        UNROLL
        for (int i = 0; i < Layout::Each; i++) {
            int depth = Depth + step * TileDepth, chunk = Layout::chunk(i) * ChunkElements;
            int line = Layout::major(i) + (Layout::AlongDepth ? Row : depth), at = chunk + (Layout::AlongDepth ? depth : Row);
            int valid = line < Lines ? most(0, least(Length - at, ChunkElements)) : 0;
            const T* from = valid > 0 ? Data + line * Pitch + at : Data;
            char* to = tile + Layout::offset(Layout::major(i), Layout::chunk(i));
            if (Aligned) {
                copy_async(to, from, valid * 2);
                continue;
            }
            load_some(held[i], from, valid);
            if (!Late) store16_shared(to, held[i]);
        }
    }

    DEVICE void end(char* tile)
    {
        if (!Late) return;
        UNROLL
        for (int i = 0; i < Layout::Each; i++) store16_shared(tile + Layout::offset(Layout::major(i), Layout::chunk(i)), held[i]);
    }
};

// A thread's sums: fragments of 16×8, four by `columns` a warp, of eight warps as two by four. What comes after a product is
// written for any such arrangement (HopperSums in hopper.h is another).
template <int columns> struct SumsOf {
    static constexpr int Rows = 4, Columns = columns, Stacked = 2, SideBySide = 4, Width = SideBySide * 8 * columns;
    float At[Rows][Columns][4] = {};

    // Where this thread's sums [i][j][2·half] and [..+1] lie in the block's tile: a row, and the first of two columns.
    static DEVICE int warp_row() { return thread_index() / 32 % 2; }
    static DEVICE int warp_column() { return thread_index() / 64; }
    static DEVICE int row(int i, int half) { return warp_row() * 64 + i * 16 + half * 8 + lane_index() / 4; }
    static DEVICE int column(int j) { return warp_column() * 8 * columns + j * 8 + lane_index() % 4 * 2; }

    // += the products of one step's tiles.
    template <class A, class B> DEVICE void add(const char* a, const char* b)
    {
        UNROLL
        for (int depth = 0; depth < TileDepth; depth += 16) {
            uint left[Rows][4], right[Columns][2];
            UNROLL
            for (int i = 0; i < Rows; i++) A::template fragment<false>(left[i], a, warp_row() * 64 + i * 16, depth);
            UNROLL
            for (int j = 0; j < Columns; j += 2) {
                uint two[4];
                B::template fragment<true>(two, b, warp_column() * 8 * columns + j * 8, depth);
                right[j][0] = two[0], right[j][1] = two[1], right[j + 1][0] = two[2], right[j + 1][1] = two[3];
            }
            multiply_add(At, left, right);
        }
    }

    // += a·b over `steps` of the depth. Leaves the ring free for other use.
    template <class A, class B> DEVICE void multiply(A& a, B& b, int steps, char* ring)
    {
        static_assert(A::Layout::Side == TileSide && B::Layout::Side == Width, "operands must be as large as their product");
        constexpr int StageBytes = A::Layout::Bytes + B::Layout::Bytes;
        ROLLED
        for (int s = 0; s < TileStages - 1; s++) {
            if (s < steps) fetch(a, b, s, ring + s * StageBytes), store(a, b, ring + s * StageBytes);
            copy_commit();
        }
        ROLLED
        for (int step = 0; step < steps; step++) {
            copy_wait<TileStages - 2>();
            barrier();
            int next = step + TileStages - 1;
            char *free = ring + next % TileStages * StageBytes, *full = ring + step % TileStages * StageBytes;
            if (next < steps) fetch(a, b, next, free);
            copy_commit();
            add<typename A::Layout, typename B::Layout>(full, full + A::Layout::Bytes);
            if (next < steps) store(a, b, free);
        }
        copy_wait<0>();
        barrier();
    }

    template <class A, class B> static DEVICE void fetch(A& a, B& b, int step, char* stage) { a.begin(stage, step), b.begin(stage + A::Layout::Bytes, step); }
    template <class A, class B> static DEVICE void store(A& a, B& b, char* stage) { a.end(stage), b.end(stage + A::Layout::Bytes); }
};

using Sums = SumsOf<4>;

// The tile of block n where tiles are numbered in bands of eight rows, column by column: neighbours share operands in the L2 cache.
struct TilePlace {
    int Row, Column;
    DEVICE TilePlace(int n, int rows, int columns)
    {
        constexpr int band = 8;
        int first = n / (band * columns) * band, height = least(rows - first, band), within = n % (band * columns);
        Row = first + within % height;
        Column = within / height;
    }
};

// Two neighbours of a row, of which `count` exist; together where all rows are even.
DEVICE Pair load_pair(const float* from, int count, bool even)
{
    if (even) return *(const Pair*)from;
    return {count > 0 ? from[0] : 0, count > 1 ? from[1] : 0};
}
DEVICE void store_pair(float* to, Pair pair, int count, bool even)
{
    if (even) *(Pair*)to = pair;
    else {
        if (count > 0) to[0] = pair.X;
        if (count > 1) to[1] = pair.Y;
    }
}
DEVICE Pair load_pair(const bf16* from, int count, bool even)
{
    if (even) return {low(*(const uint*)from), high(*(const uint*)from)};
    return {count > 0 ? to_float(from[0]) : 0, count > 1 ? to_float(from[1]) : 0};
}
DEVICE void store_pair(bf16* to, Pair pair, int count, bool even)
{
    uint two = pack(pair.X, pair.Y);
    if (even) *(uint*)to = two;
    else {
        if (count > 0) to[0] = (bf16)two;
        if (count > 1) to[1] = (bf16)(two >> 16);
    }
}
// Whether every pair of every row of `columns` exists and lies on its boundary.
template <class T> DEVICE bool is_even(const T* p, i64 pitch, int columns) { return is_aligned(p, pitch, 2 * sizeof(T)) & (columns % 2 == 0); }

DEVICE int tiles(int elements, int side = TileSide) { return (elements + side - 1) / side; }
