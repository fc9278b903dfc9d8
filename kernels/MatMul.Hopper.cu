// C = alpha·A·Bᵀ (+ C), as matmul_nt in MatMul.cu, on compute capability 9.0's tensor maps and wgmma (hopper.h). A and B are
// tensor maps in global memory. Limit: a step moves 32 KB for 2·128·128·64 operations, 64 for each byte from the L2 cache.
#include "MatMul.h"
#include "hopper.h"

template <class T> DEVICE void matmul(const MatMulArguments& args)
{
    TilePlace tile(block_x(), tiles(args.Rows), tiles(args.Columns));
    int row = tile.Row * TileSide, column = tile.Column * TileSide, first = block_y() * args.SliceDepth, end = least(args.Depth, first + args.SliceDepth);
    TensorTile<> a{(const TensorMap*)args.A, row, first}, b{(const TensorMap*)args.B, column, first};
    HopperSums sums;
    sums.multiply(a, b, (end - first + HopperDepth - 1) / HopperDepth, shared_memory());
    store_product<T>(args, sums, row, column);
}

KERNEL(matmul_nt_f32_hopper, TileThreads, MatMulArguments) { matmul<float>(args); }
KERNEL(matmul_nt_bf16_hopper, TileThreads, MatMulArguments) { matmul<bf16>(args); }
