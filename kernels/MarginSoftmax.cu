// The margin head's passes over classes (src/FaceSearch.Tensors/Ops/MarginSoftmax.cs). Unit embeddings [batch, d] in bf16,
// centres [classes, d] in bf16 or in fp32, rounded on load; classes may be a part of all: pointers are to its beginning.
//
// margin_forward: a block's tile of 128 rows × 128 classes of cosines lives in registers, and leaves (max, sum) of its
// false logits for each row and, where a row's own class is in the tile, that cosine. Logits are never written.
// margin_gradient: the same tile again, as (∂L/∂cos)/‖w‖ in bf16, and its sums along the batch. It is called for some thousand
// classes at a time, so that this stays in the L2 cache for the two products that follow (matmul_nn into the embeddings'
// gradient, margin_centres) and memory does not grow with the number of classes.
// Limits: both run at the product's rate (tile.h) over a depth of d; tiles of the same classes follow each other, so that
// centres come from memory once: at a batch of 512 and more the tensor cores are the limit, below it memory.
#include "margin.h"
#include "tile.h"

struct MarginTile {
    const bf16* Unit;        // [Batch, Dimension]
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

// Hands each cosine of the block's tile to use(i, half, j, e, row, class, cosine), i, half, j, e as in Sums.
template <class T, class Use> DEVICE void for_cosines(const MarginTile& args, TilePlace tile, Use use)
{
    int row = tile.Row * TileSide, column = tile.Column * TileSide;
    Matrix<bf16, DepthLast> unit(args.Unit, args.PitchUnit, args.Batch, args.Dimension, row, 0);
    Matrix<T, DepthLast> centres((const T*)args.Centres, args.PitchCentres, args.Classes, args.Dimension, column, 0);
    Sums sums;
    sums.clear();
    sums.multiply(unit, centres, (args.Dimension + TileDepth - 1) / TileDepth, shared_memory());
    UNROLL
    for (int j = 0; j < WarpColumns; j++)
        UNROLL
        for (int e = 0; e < 2; e++) {
            int c = column + Sums::column(j) + e;
            float inverse = c < args.Classes ? inverse_length(args.Squares, args.PitchSquares, args.Parts, c) : 0;
            UNROLL
            for (int i = 0; i < WarpRows; i++)
                UNROLL
                for (int half = 0; half < 2; half++) use(i, half, j, e, row + Sums::row(i, half), c, sums.At[i][j][2 * half + e] * inverse, inverse);
        }
}

// The own classes of a thread's rows, by their places here; none where there is no row.
struct OwnClasses {
    int Of[WarpRows][2];

    DEVICE OwnClasses(const MarginTile& args, TilePlace tile)
    {
        UNROLL
        for (int i = 0; i < WarpRows; i++)
            UNROLL
            for (int half = 0; half < 2; half++) {
                int row = tile.Row * TileSide + Sums::row(i, half);
                i64 place = row < args.Batch ? args.Labels[row] - args.First : -1;
                Of[i][half] = place < args.Classes ? (int)most(place, (i64)-1) : -1;
            }
    }
};

template <class T> DEVICE void margin_forward(const MarginForwardArguments& args)
{
    const MarginTile& tile = args.Tile;
    TilePlace place(block_x(), tiles(tile.Batch), tiles(tile.Classes));
    float logits[WarpRows][2][WarpColumns][2], scale = tile.FalseScale * Log2E;
    OwnClasses classes(tile, place);
    for_cosines<T>(tile, place, [&](int i, int half, int j, int e, int row, int c, float cosine, float) {
        bool own = classes.Of[i][half] == c;
        if (own) args.Cosines[row] = cosine;
        logits[i][half][j][e] = own || c >= tile.Classes ? Below : scale * cosine;
    });

    auto joined = (LogSum(*)[TileSide])shared_memory();   // [warps side by side][rows]
    UNROLL
    for (int i = 0; i < WarpRows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            LogSum sum{Below, 0};
            UNROLL
            for (int n = 0; n < 2 * WarpColumns; n++) sum.Most = most(sum.Most, logits[i][half][n / 2][n % 2]);
            UNROLL
            for (int n = 0; n < 2 * WarpColumns; n++) {
                float z = logits[i][half][n / 2][n % 2];
                sum.Sum += z == Below ? 0 : exp2_fast(z - sum.Most);
            }
            UNROLL
            for (int mask = 1; mask <= 2; mask *= 2) sum.join({shuffle_xor(sum.Most, mask), shuffle_xor(sum.Sum, mask)});
            if (lane_index() % 4 == 0) joined[Sums::warp_column()][Sums::row(i, half)] = sum;
        }
    barrier();
    int row = place.Row * TileSide + thread_index();
    if (thread_index() >= TileSide || row >= tile.Batch) return;
    LogSum sum = joined[0][thread_index()];
    for (int w = 1; w < 4; w++) sum.join(joined[w][thread_index()]);
    args.Partials[(i64)place.Column * tile.Batch + row] = sum;
}

template <class T> DEVICE void margin_gradient(const MarginGradientArguments& args)
{
    const MarginTile& tile = args.Tile;
    TilePlace place(block_x(), tiles(tile.Batch), tiles(tile.Classes));
    float scale = tile.FalseScale * Log2E, along[WarpColumns][2] = {}, first[WarpRows][2], logSums[WarpRows][2], weights[WarpRows][2];
    UNROLL
    for (int i = 0; i < WarpRows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            int row = place.Row * TileSide + Sums::row(i, half);
            logSums[i][half] = row < tile.Batch ? args.Rows[row] : 0;
            weights[i][half] = row < tile.Batch ? args.Rows[tile.Batch + row] : 0;
        }
    OwnClasses classes(tile, place);
    for_cosines<T>(tile, place, [&](int i, int half, int j, int e, int row, int c, float cosine, float inverse) {
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

    auto joined = (float(*)[TileSide])shared_memory();   // [warps above each other][columns]
    UNROLL
    for (int n = 0; n < 2 * WarpColumns; n++) {
        float sum = along[n / 2][n % 2];
        UNROLL
        for (int mask = 4; mask <= 16; mask *= 2) sum += shuffle_xor(sum, mask);
        if (lane_index() < 4) joined[Sums::warp_row()][Sums::column(n / 2) + n % 2] = sum;
    }
    barrier();
    int c = place.Column * TileSide + thread_index();
    if (thread_index() < TileSide && c < tile.Classes) args.Along[place.Row * args.PitchAlong + c] = joined[0][thread_index()] + joined[1][thread_index()];
}

KERNEL(margin_forward_bf16, TileThreads, MarginForwardArguments) { margin_forward<bf16>(args); }
KERNEL(margin_forward_f32, TileThreads, MarginForwardArguments) { margin_forward<float>(args); }
KERNEL(margin_gradient_bf16, TileThreads, MarginGradientArguments) { margin_gradient<bf16>(args); }
KERNEL(margin_gradient_f32, TileThreads, MarginGradientArguments) { margin_gradient<float>(args); }
