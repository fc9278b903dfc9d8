// What the kernels of MarginSoftmax.cu and MarginSoftmax.Hopper.cu share: argument structs, and what becomes of a tile of cosines.
#pragma once
#include "margin.h"
#include "tile.h"

struct MarginTile {
    const void* Unit;        // [Batch, Dimension]; of a Hopper kernel, this and the next are tensor maps
    const void* Centres;     // [Classes, Dimension]
    const float* Squares;    // [Parts, Classes]: sums of squares of the rounded centres over 128 dimensions each
    const int* Labels;       // [Batch], −1: no class
    i64 PitchUnit, PitchCentres, PitchSquares, First;   // First: the class of the first centre here
    int Batch, Dimension, Classes, Parts;
    float FalseScale;
};

struct MarginForwardArguments {
    MarginTile Tile;
    LogSum* Partials;        // [tiles of classes, Batch]
    float* Cosines;          // [Batch]: of each row to its own class
};

struct MarginGradientArguments {
    MarginTile Tile;
    const float* Rows;       // [3, Batch], by margin_prepare
    const float* Cosines;    // [Batch]
    bf16* Gradients;         // [Batch, Classes]
    float* Along;            // [tiles of Batch, Classes]: Σ over the tile's rows of gradient·cosine
    i64 PitchGradients, PitchAlong;   // PitchGradients even
};

// What the passes put in shared memory once the product is done with it: 1/‖w‖ of the tile's classes, then their own.
constexpr int InverseBytes = TileSide * 4;

// Hands each cosine of the block's tile, from its sums, to use(i, half, j, e, row, class, cosine, 1/‖w‖), i, half, j, e as in Sums.
template <class S, class Use> DEVICE void for_cosines(const MarginTile& args, TilePlace tile, const S& sums, Use use)
{
    auto inverses = (float*)shared_memory();
    int t = thread_index(), column = tile.Column * TileSide;
    if (t < TileSide) inverses[t] = column + t < args.Classes ? inverse_length(args.Squares, args.PitchSquares, args.Parts, column + t) : 0;
    barrier();
    UNROLL
    for (int j = 0; j < S::Columns; j++)
        UNROLL
        for (int e = 0; e < 2; e++) {
            float inverse = inverses[S::column(j) + e];
            UNROLL
            for (int i = 0; i < S::Rows; i++)
                UNROLL
                for (int half = 0; half < 2; half++)
                    use(i, half, j, e, tile.Row * TileSide + S::row(i, half), column + S::column(j) + e, sums.At[i][j][2 * half + e] * inverse, inverse);
        }
}

// The own classes of a thread's rows, by their places here; none where there is no row.
template <class S> struct OwnClasses {
    int Of[S::Rows][2];

    DEVICE OwnClasses(const MarginTile& args, TilePlace tile)
    {
        UNROLL
        for (int i = 0; i < S::Rows; i++)
            UNROLL
            for (int half = 0; half < 2; half++) {
                int row = tile.Row * TileSide + S::row(i, half);
                i64 place = row < args.Batch ? args.Labels[row] - args.First : -1;
                Of[i][half] = place < args.Classes ? (int)most(place, (i64)-1) : -1;
            }
    }
};

// Multiply(args.Tile, place) gives the tile's sums.
template <class S, class Multiply> DEVICE void margin_forward(const MarginForwardArguments& args, Multiply multiply)
{
    const MarginTile& tile = args.Tile;
    TilePlace place(block_x(), tiles(tile.Batch), tiles(tile.Classes));
    S sums = multiply(tile, place);
    float logits[S::Rows][2][S::Columns][2], scale = tile.FalseScale * Log2E;
    OwnClasses<S> classes(tile, place);
    for_cosines(tile, place, sums, [&](int i, int half, int j, int e, int row, int c, float cosine, float) {
        bool own = classes.Of[i][half] == c;
        if (own) args.Cosines[row] = cosine;
        logits[i][half][j][e] = own || c >= tile.Classes ? Below : scale * cosine;
    });

    auto joined = (LogSum(*)[TileSide])(shared_memory() + InverseBytes);   // [warps side by side][rows]
    UNROLL
    for (int i = 0; i < S::Rows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            LogSum sum{Below, 0};
            UNROLL
            for (int n = 0; n < 2 * S::Columns; n++) sum.Most = most(sum.Most, logits[i][half][n / 2][n % 2]);
            UNROLL
            for (int n = 0; n < 2 * S::Columns; n++) {
                float z = logits[i][half][n / 2][n % 2];
                sum.Sum += z == Below ? 0 : exp2_fast(z - sum.Most);
            }
            UNROLL
            for (int mask = 1; mask <= 2; mask *= 2) sum.join({shuffle_xor(sum.Most, mask), shuffle_xor(sum.Sum, mask)});
            if (lane_index() % 4 == 0) joined[S::warp_column()][S::row(i, half)] = sum;
        }
    barrier();
    int row = place.Row * TileSide + thread_index();
    if (thread_index() >= TileSide || row >= tile.Batch) return;
    LogSum sum = joined[0][thread_index()];
    for (int w = 1; w < S::SideBySide; w++) sum.join(joined[w][thread_index()]);
    args.Partials[(i64)place.Column * tile.Batch + row] = sum;
}

template <class S, class Multiply> DEVICE void margin_gradient(const MarginGradientArguments& args, Multiply multiply)
{
    const MarginTile& tile = args.Tile;
    TilePlace place(block_x(), tiles(tile.Batch), tiles(tile.Classes));
    S sums = multiply(tile, place);
    float scale = tile.FalseScale * Log2E, along[S::Columns][2] = {}, first[S::Rows][2], logSums[S::Rows][2], weights[S::Rows][2];
    UNROLL
    for (int i = 0; i < S::Rows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            int row = place.Row * TileSide + S::row(i, half);
            logSums[i][half] = row < tile.Batch ? args.Rows[row] : 0;
            weights[i][half] = row < tile.Batch ? args.Rows[tile.Batch + row] : 0;
        }
    OwnClasses<S> classes(tile, place);
    for_cosines(tile, place, sums, [&](int i, int half, int j, int e, int row, int c, float cosine, float inverse) {
        float g = weights[i][half] * exp2_fast(scale * cosine - logSums[i][half]);
        if (classes.Of[i][half] == c) {
            g = args.Rows[2 * tile.Batch + row];
            cosine = args.Cosines[row];
        }
        g = rounded(inverse * g);
        along[j][e] += g * cosine;
        if (e == 0) first[i][half] = g;
        else if (row < tile.Batch && c - 1 < tile.Classes) *(uint*)(args.Gradients + row * args.PitchGradients + c - 1) = pack(first[i][half], g);
    });

    auto joined = (float(*)[TileSide])(shared_memory() + InverseBytes);   // [warps above each other][columns]
    UNROLL
    for (int n = 0; n < 2 * S::Columns; n++) {
        float sum = along[n / 2][n % 2];
        UNROLL
        for (int mask = 4; mask <= 16; mask *= 2) sum += shuffle_xor(sum, mask);
        if (lane_index() < 4) joined[S::warp_row()][S::column(n / 2) + n % 2] = sum;
    }
    barrier();
    int c = place.Column * TileSide + thread_index();
    if (thread_index() >= TileSide || c >= tile.Classes) return;
    float sum = joined[0][thread_index()];
    for (int w = 1; w < S::Stacked; w++) sum += joined[w][thread_index()];
    args.Along[place.Row * args.PitchAlong + c] = sum;
}
