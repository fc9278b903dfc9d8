// C = alpha·op(A)·op(B) (+ C), bf16 operands, fp32 sums, result fp32 or bf16. Row-major with any pitch (in elements):
// NN: A [rows, depth], B [depth, columns]; NT: B [columns, depth]; TN: A [depth, rows], B [depth, columns].
//
// One block a tile of 128×128 (tile.h). The depth may be cut into slices, whose results lie SliceC elements apart and are
// added up by sum_slices in their order: few tiles over a long depth (a weight gradient) still fill the machine, and bits
// do not depend on which block came first. A pitch or address that is not a multiple of 16 bytes costs the asynchronous
// copies: elements are then loaded one by one.
#include "tile.h"

struct MatMulArguments {
    const bf16* A;
    const bf16* B;
    void* C;
    i64 PitchA, PitchB, PitchC, SliceC;
    int Rows, Columns, Depth, SliceDepth;   // SliceDepth: a multiple of 32
    float Alpha;
    int Add;
};

DEVICE void store_two(float* to, float x, float y, int count, bool add)
{
    if (count > 0) to[0] = add ? to[0] + x : x;
    if (count > 1) to[1] = add ? to[1] + y : y;
}

DEVICE void store_two(bf16* to, float x, float y, int count, bool add)
{
    if (count > 0) to[0] = to_bf16(add ? to_float(to[0]) + x : x);
    if (count > 1) to[1] = to_bf16(add ? to_float(to[1]) + y : y);
}

template <class LayoutA, class LayoutB, class T> DEVICE void matmul(const MatMulArguments& args)
{
    TilePlace tile(block_x(), tiles(args.Rows), tiles(args.Columns));
    int row = tile.Row * TileSide, column = tile.Column * TileSide, first = block_y() * args.SliceDepth, end = least(args.Depth, first + args.SliceDepth);
    Matrix<bf16, LayoutA> a(args.A, args.PitchA, LayoutA::AlongDepth ? args.Rows : end, LayoutA::AlongDepth ? end : args.Rows, row, first);
    Matrix<bf16, LayoutB> b(args.B, args.PitchB, LayoutB::AlongDepth ? args.Columns : end, LayoutB::AlongDepth ? end : args.Columns, column, first);
    Sums sums;
    sums.clear();
    sums.multiply(a, b, (end - first + TileDepth - 1) / TileDepth, shared_memory());

    T* c = (T*)args.C + block_y() * args.SliceC;
    UNROLL
    for (int i = 0; i < WarpRows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            int r = row + Sums::row(i, half);
            if (r >= args.Rows) continue;
            UNROLL
            for (int j = 0; j < WarpColumns; j++) {
                int k = column + Sums::column(j);
                store_two(c + r * args.PitchC + k, args.Alpha * sums.At[i][j][2 * half], args.Alpha * sums.At[i][j][2 * half + 1], args.Columns - k, args.Add);
            }
        }
}

KERNEL(matmul_nn_f32, TileThreads, MatMulArguments) { matmul<DepthLast, DepthFirst, float>(args); }
KERNEL(matmul_nt_f32, TileThreads, MatMulArguments) { matmul<DepthLast, DepthLast, float>(args); }
KERNEL(matmul_tn_f32, TileThreads, MatMulArguments) { matmul<DepthFirst, DepthFirst, float>(args); }
KERNEL(matmul_nn_bf16, TileThreads, MatMulArguments) { matmul<DepthLast, DepthFirst, bf16>(args); }
KERNEL(matmul_nt_bf16, TileThreads, MatMulArguments) { matmul<DepthLast, DepthLast, bf16>(args); }
KERNEL(matmul_tn_bf16, TileThreads, MatMulArguments) { matmul<DepthFirst, DepthFirst, bf16>(args); }

struct SumSlicesArguments {
    const float* Slices;
    float* To;
    i64 Count;       // of each slice, which lie Count apart
    int Number, Add;
};

KERNEL(sum_slices, 256, SumSlicesArguments)
{
    i64 i = (i64)block_x() * 256 + thread_index();
    if (i >= args.Count) return;
    float sum = args.Add ? args.To[i] : 0;
    for (int s = 0; s < args.Number; s++) sum += args.Slices[s * args.Count + i];
    args.To[i] = sum;
}
