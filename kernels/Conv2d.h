// What the kernels of Conv2d.cu and Conv2d.Hopper.cu share: the argument struct, and the way of a tile's sums into a map and its moments.
#pragma once
#include "conv.h"

struct Conv2dArguments {
    Map X;                 // forward, weight: the input; data: the output's gradient. Of a Hopper kernel X.Data, Weight and Dy are tensor maps
    OnLoad On;
    const bf16* Weight;    // forward, data
    const bf16* Dy;        // weight: [images, OutHeight, OutWidth, PitchY]
    void* Y;               // forward, data: map [images, OutHeight, OutWidth, PitchY] in bf16; weight: fp32 slices [K][taps][X.Pitch]
    Pair* Moments;         // forward: [tiles of outputs, PitchY], or null
    int OutHeight, OutWidth, PitchY, K;   // K: outputs of the convolution
    int KernelHeight, KernelWidth, Stride, Padding, SliceOutputs;
};

// Each tile column's sum and squared deviations from the column's mean over `count` rows.
template <class S> DEVICE void tile_moments(const S& sums, int count, int column, Pair* to, int columns)
{
    auto joined = (float(*)[S::Stacked][TileSide])shared_memory();   // [pass][warps above each other][columns]
    auto total = [&](int pass, int c) {
        float sum = joined[pass][0][c];
        UNROLL
        for (int w = 1; w < S::Stacked; w++) sum += joined[pass][w][c];
        return sum;
    };
    float mean[2 * S::Columns] = {};
    UNROLL
    for (int pass = 0; pass < 2; pass++) {
        UNROLL
        for (int n = 0; n < 2 * S::Columns; n++) {
            float sum = 0;
            UNROLL
            for (int i = 0; i < S::Rows; i++)
                UNROLL
                for (int half = 0; half < 2; half++) {
                    float d = rounded(sums.At[i][n / 2][2 * half + n % 2]) - mean[n];
                    if (S::row(i, half) < count) sum += pass == 0 ? d : d * d;
                }
            UNROLL
            for (int mask = 4; mask <= 16; mask *= 2) sum += shuffle_xor(sum, mask);
            if (lane_index() < 4) joined[pass][S::warp_row()][S::column(n / 2) + n % 2] = sum;
        }
        barrier();
        if (pass == 0)
            UNROLL
            for (int n = 0; n < 2 * S::Columns; n++) mean[n] = total(0, S::column(n / 2) + n % 2) / count;
    }
    int t = thread_index();
    if (t < S::Width && column + t < columns) to[column + t] = {total(0, t), total(1, t)};
}

// Writes a tile of outputs, which are those of one phase: every `step`-th row and column from (row, column) on.
struct Outputs {
    int Step, Row, Column, Height, Width, Number;

    DEVICE Outputs(const Conv2dArguments& args, int step, int phase) : Step(step), Row(phase / step), Column(phase % step)
    {
        Height = (args.OutHeight - Row + step - 1) / step;
        Width = (args.OutWidth - Column + step - 1) / step;
        Number = args.X.Images * Height * Width;
    }

    template <class S> DEVICE void store(const Conv2dArguments& args, const S& sums, int first, int column) const
    {
        UNROLL
        for (int i = 0; i < S::Rows; i++)
            UNROLL
            for (int half = 0; half < 2; half++) {
                int output = first + S::row(i, half);
                if (output >= Number) continue;
                Place place(output, Height, Width);
                bf16* to = (bf16*)args.Y + (((i64)place.Image * args.OutHeight + place.Row * Step + Row) * args.OutWidth + place.Column * Step + Column) * args.PitchY;
                UNROLL
                for (int j = 0; j < S::Columns; j++) {
                    int k = column + S::column(j);
                    if (k < args.PitchY) store_pair(to + k, {sums.At[i][j][2 * half], sums.At[i][j][2 * half + 1]}, 2, true);
                }
            }
    }
};
