// What the kernels of MatMul.cu and MatMul.Hopper.cu share: the argument struct, and the way of a tile's sums into C.
#pragma once
#include "tile.h"

struct MatMulArguments {
    const void* A;       // of a Hopper kernel: the operands' tensor maps
    const void* B;
    void* C;
    i64 PitchA, PitchB, PitchC, SliceC;
    int Rows, Columns, Depth, SliceDepth;   // SliceDepth: a multiple of 32
    float Alpha;
    int Add;
};

template <class T, class S> DEVICE void store_product(const MatMulArguments& args, const S& sums, int row, int column)
{
    T* c = (T*)args.C + block_y() * args.SliceC;
    bool even = is_even(c, args.PitchC, args.Columns);
    UNROLL
    for (int i = 0; i < S::Rows; i++)
        UNROLL
        for (int half = 0; half < 2; half++)
            UNROLL
            for (int j = 0; j < S::Columns; j++) {
                int r = row + S::row(i, half), k = column + S::column(j), count = args.Columns - k;
                if (r >= args.Rows || count <= 0) continue;
                T* to = c + r * args.PitchC + k;
                Pair sum{args.Alpha * sums.At[i][j][2 * half], args.Alpha * sums.At[i][j][2 * half + 1]};
                if (args.Add) {
                    Pair before = load_pair(to, count, even);
                    sum = {sum.X + before.X, sum.Y + before.Y};
                }
                store_pair(to, sum, count, even);
            }
}
