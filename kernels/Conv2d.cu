// Convolutions over NHWC maps as products on tensor cores (src/FaceSearch.Tensors/Ops/Conv2d.cs, groups = 1), any kernel, stride and
// padding, without a copy of the map: a tile's rows are outputs, gathered as they are copied to shared memory (conv.h).
// Weights bf16 [K][kh·kw][channel pitch], zeros past the last channel.
//
// conv2d_forward: [outputs] × [K], depth (tap, channel). With _normalised a deferred batch norm, PReLU and residual are applied as
// chunks pass through registers. Leaves, where asked, each tile's sum and squared deviations from its mean of every channel
// (of the values as stored), which conv2d_moments joins in order: the batch norm that follows reads no map.
// conv2d_data: the same product with the roles of the channels changed, for each of stride² phases of the input (blockIdx.y).
// conv2d_weight: [K] × [tap, channel], depth the outputs, cut into slices (blockIdx.y) that sum_slices adds.
// Kernels ending in _narrow have tiles of 128×64, for results of up to 64 channels.
// Limits: the product's (tile.h) where 64 channels and more meet. Narrower layers waste columns, a first
// layer of 3 channels, padded to 8, 5/8 of its depth. Finding a chunk costs three divisions a step.
#include "Conv2d.h"

template <class S, bool normalise> DEVICE void conv2d_forward(const Conv2dArguments& args)
{
    Outputs outputs(args, 1, 0);
    TilePlace tile(block_x(), tiles(outputs.Number), tiles(args.PitchY, S::Width));
    int first = tile.Row * TileSide, column = tile.Column * S::Width, depth = args.KernelHeight * args.KernelWidth * args.X.Pitch;
    Window window{Taps::forward(args.KernelHeight, args.Stride, args.Padding), Taps::forward(args.KernelWidth, args.Stride, args.Padding)};
    Gather<normalise> x(args.X, args.On, window, first, outputs.Number, outputs.Height, outputs.Width);
    Matrix<bf16, DepthLastOf<S::Width>> weight(args.Weight, depth, args.K, depth, column, 0);
    S sums;
    sums.multiply(x, weight, x.steps(), shared_memory());
    outputs.store(args, sums, first, column);
    if (args.Moments) tile_moments(sums, least(TileSide, outputs.Number - first), column, args.Moments + (i64)tile.Row * args.PitchY, args.PitchY);
}

KERNEL(conv2d_forward, TileThreads, Conv2dArguments) { conv2d_forward<Sums, false>(args); }
KERNEL(conv2d_forward_normalised, TileThreads, Conv2dArguments) { conv2d_forward<Sums, true>(args); }
KERNEL(conv2d_forward_narrow, TileThreads, Conv2dArguments) { conv2d_forward<SumsOf<2>, false>(args); }
KERNEL(conv2d_forward_normalised_narrow, TileThreads, Conv2dArguments) { conv2d_forward<SumsOf<2>, true>(args); }

template <class S> DEVICE void conv2d_data(const Conv2dArguments& args)
{
    Outputs outputs(args, args.Stride, block_y());
    // Phases differ in size; the grid is the largest's.
    if (block_x() >= tiles(outputs.Number) * tiles(args.PitchY, S::Width)) return;
    TilePlace tile(block_x(), tiles(outputs.Number), tiles(args.PitchY, S::Width));
    int first = tile.Row * TileSide, column = tile.Column * S::Width;
    Window window{Taps::backward(args.KernelHeight, args.Stride, args.Padding, outputs.Row), Taps::backward(args.KernelWidth, args.Stride, args.Padding, outputs.Column)};
    Gather<false> dy(args.X, args.On, window, first, outputs.Number, outputs.Height, outputs.Width);
    WeightLines<DepthFirstOf<S::Width>> weight{args.Weight, args.PitchY, args.K, args.X.Pitch, args.KernelHeight * args.KernelWidth, args.KernelWidth, column, window};
    S sums;
    sums.multiply(dy, weight, dy.steps(), shared_memory());
    outputs.store(args, sums, first, column);
}

KERNEL(conv2d_data, TileThreads, Conv2dArguments) { conv2d_data<Sums>(args); }
KERNEL(conv2d_data_narrow, TileThreads, Conv2dArguments) { conv2d_data<SumsOf<2>>(args); }

// dweight of a slice of the outputs. For up to 64 outputs the product is turned round, [tap, channel] × [K], to fill its tile.
template <class S, bool normalise> DEVICE void conv2d_weight(const Conv2dArguments& args)
{
    constexpr bool narrow = S::Width < TileSide;
    int taps = args.KernelHeight * args.KernelWidth * args.X.Pitch, outputs = args.X.Images * args.OutHeight * args.OutWidth;
    TilePlace tile(block_x(), tiles(narrow ? taps : args.K), tiles(narrow ? args.K : taps, S::Width));
    int row = tile.Row * TileSide, column = tile.Column * S::Width, first = block_y() * args.SliceOutputs, last = least(outputs, first + args.SliceOutputs), steps = (last - first + TileDepth - 1) / TileDepth;
    Matrix<bf16, DepthFirstOf<S::Width>> dy(args.Dy, args.PitchY, last, args.K, narrow ? column : row, first);
    GatherLines<normalise> x(args.X, args.On, narrow ? row : column, args.KernelHeight, args.KernelWidth, args.Stride, args.Padding, first, last, args.OutHeight, args.OutWidth);
    S sums;
    if constexpr (narrow) sums.multiply(x, dy, steps, shared_memory());
    else sums.multiply(dy, x, steps, shared_memory());
    float* slice = (float*)args.Y + (i64)block_y() * args.K * taps;
    UNROLL
    for (int i = 0; i < S::Rows; i++)
        UNROLL
        for (int half = 0; half < 2; half++)
            UNROLL
            for (int j = 0; j < S::Columns; j++) {
                int r = row + S::row(i, half), c = column + S::column(j);
                float x0 = sums.At[i][j][2 * half], x1 = sums.At[i][j][2 * half + 1];
                if (narrow) {
                    if (r < taps && c < args.K) slice[(i64)c * taps + r] = x0;
                    if (r < taps && c + 1 < args.K) slice[(i64)(c + 1) * taps + r] = x1;
                }
                else if (r < args.K && c < taps) store_pair(slice + (i64)r * taps + c, {x0, x1}, 2, true);
            }
}

KERNEL(conv2d_weight, TileThreads, Conv2dArguments) { conv2d_weight<Sums, false>(args); }
KERNEL(conv2d_weight_normalised, TileThreads, Conv2dArguments) { conv2d_weight<Sums, true>(args); }
KERNEL(conv2d_weight_narrow, TileThreads, Conv2dArguments) { conv2d_weight<SumsOf<2>, false>(args); }
KERNEL(conv2d_weight_normalised_narrow, TileThreads, Conv2dArguments) { conv2d_weight<SumsOf<2>, true>(args); }
