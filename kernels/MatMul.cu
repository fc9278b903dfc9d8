// C = alpha·op(A)·op(B) (+ C), bf16 operands, fp32 sums, result fp32 or bf16. Row-major with any pitch (in elements):
// NN: A [rows, depth], B [depth, columns]; NT: B [columns, depth]; TN: A [depth, rows], B [depth, columns].
//
// One block a tile of 128×128 (tile.h). The depth may be cut into slices, whose results lie SliceC elements apart and are
// added up by sum_slices in their order: few tiles over a long depth (a weight gradient) still fill the machine, and bits
// do not depend on which block came first. A pitch or address that is not a multiple of 16 bytes costs the asynchronous
// copies: elements are then loaded one by one.
#include "MatMul.h"

template <class LayoutA, class LayoutB, class T, class TB = bf16> DEVICE void matmul(const MatMulArguments& args)
{
    TilePlace tile(block_x(), tiles(args.Rows), tiles(args.Columns));
    int row = tile.Row * TileSide, column = tile.Column * TileSide, first = block_y() * args.SliceDepth, end = least(args.Depth, first + args.SliceDepth);
    Matrix<bf16, LayoutA> a((const bf16*)args.A, args.PitchA, LayoutA::AlongDepth ? args.Rows : end, LayoutA::AlongDepth ? end : args.Rows, row, first);
    Matrix<TB, LayoutB> b((const TB*)args.B, args.PitchB, LayoutB::AlongDepth ? args.Columns : end, LayoutB::AlongDepth ? end : args.Columns, column, first);
    Sums sums;
    sums.multiply(a, b, (end - first + TileDepth - 1) / TileDepth, shared_memory());

    store_product<T>(args, sums, row, column);
}

KERNEL(matmul_nn_f32, TileThreads, MatMulArguments) { matmul<DepthLast, DepthFirst, float>(args); }
KERNEL(matmul_nt_f32, TileThreads, MatMulArguments) { matmul<DepthLast, DepthLast, float>(args); }
KERNEL(matmul_tn_f32, TileThreads, MatMulArguments) { matmul<DepthFirst, DepthFirst, float>(args); }
KERNEL(matmul_nn_bf16, TileThreads, MatMulArguments) { matmul<DepthLast, DepthFirst, bf16>(args); }
KERNEL(matmul_nt_bf16, TileThreads, MatMulArguments) { matmul<DepthLast, DepthLast, bf16>(args); }
KERNEL(matmul_tn_bf16, TileThreads, MatMulArguments) { matmul<DepthFirst, DepthFirst, bf16>(args); }
// B of floats, rounded as it is loaded: class centres of which no bf16 copy is kept.
KERNEL(matmul_nn_from_f32, TileThreads, MatMulArguments) { matmul<DepthLast, DepthFirst, float, float>(args); }

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
