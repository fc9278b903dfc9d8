// The centres' gradient of some classes, dw = gradientsᵀ·x̂ − (along/‖w‖)·w, and with an update one step of SGD on them
// (src/FaceSearch.Tensors/Ops/Sgd.cs), so that the gradient never exists. Gradients [batch, classes] and along by
// margin_gradient, unit embeddings [batch, d]; masters, velocities fp32 [.., d], the row of class c being Index[c] where an
// index is given: that is all the scattering Partial FC needs. The new centres' bf16 copy and sums of squares go out with them.
//
// One block 128 classes × 128 dimensions (tile.h), depth the batch. Limit: memory, 8 bytes read and 10 written for each
// element with momentum against a product of only `batch` terms.
#include "margin.h"
#include "tile.h"

struct MarginCentresArguments {
    const bf16* Gradients;   // [Batch, Classes]
    const bf16* Unit;        // [Batch, Dimension]
    const float* Along;      // [AlongTiles, Classes]
    const float* Squares;    // [Parts, Classes] of the centres before the step
    const int* Index;        // [Classes] or null
    float* Masters;
    float* Velocities;       // null: no momentum
    Numbers Numbers_;        // its rate is the step's
    float* Result;           // the gradient [Classes, Dimension]: then nothing is updated; or null
    bf16* Copy;              // [Classes, Dimension] of the new centres, or null
    float* NewSquares;       // [⌈Dimension/128⌉, Classes], or null
    i64 PitchGradients, PitchUnit, PitchAlong, PitchSquares, PitchMasters, PitchResult, PitchCopy;   // velocities as masters
    int Batch, Dimension, Classes, Parts, AlongTiles;
    float Momentum, WeightDecay;
    int Nesterov;
};

DEVICE void step(float& w, float& v, float gradient, float rate, const MarginCentresArguments& args)
{
    v = args.Momentum * v + gradient;
    w -= rate * (args.Nesterov ? gradient + args.Momentum * v : v);
}

KERNEL(margin_centres, TileThreads, MarginCentresArguments)
{
    TilePlace tile(block_x(), tiles(args.Classes), tiles(args.Dimension));
    int row = tile.Row * TileSide, column = tile.Column * TileSide;
    Matrix<bf16, DepthFirst> gradients(args.Gradients, args.PitchGradients, args.Batch, args.Classes, row, 0);
    Matrix<bf16, DepthFirst> unit(args.Unit, args.PitchUnit, args.Batch, args.Dimension, column, 0);
    Sums sums;
    sums.multiply(gradients, unit, (args.Batch + TileDepth - 1) / TileDepth, shared_memory());

    bool even = is_even(args.Masters, args.PitchMasters, args.Dimension), evenResult = is_even(args.Result, args.PitchResult, args.Dimension), evenCopy = is_even(args.Copy, args.PitchCopy, args.Dimension);
    bool evenVelocities = even & is_even(args.Velocities, args.PitchMasters, args.Dimension);
    float rate = args.Result ? 0 : args.Numbers_.rate();
    auto pulls = (float*)shared_memory();
    auto squares = (float(*)[TileSide])(pulls + TileSide);   // [warps side by side][rows]
    int t = thread_index();
    if (t < TileSide && row + t < args.Classes) {
        float along = 0;
        for (int n = 0; n < args.AlongTiles; n++) along += args.Along[n * args.PitchAlong + row + t];
        pulls[t] = -along * inverse_length(args.Squares, args.PitchSquares, args.Parts, row + t);
    }
    barrier();
    UNROLL
    for (int i = 0; i < Sums::Rows; i++)
        UNROLL
        for (int half = 0; half < 2; half++) {
            int c = row + Sums::row(i, half);
            float square = 0;
            if (c < args.Classes) {
                float pull = pulls[Sums::row(i, half)], factor = args.Result ? pull : pull + args.WeightDecay;
                i64 at = (args.Index ? args.Index[c] : c) * args.PitchMasters;
                UNROLL
                for (int j = 0; j < Sums::Columns; j++) {
                    int k = column + Sums::column(j), count = args.Dimension - k;
                    if (count <= 0) continue;
                    Pair w = load_pair(args.Masters + at + k, count, even), v{0, 0};
                    Pair g{sums.At[i][j][2 * half] + factor * w.X, sums.At[i][j][2 * half + 1] + factor * w.Y};
                    if (args.Result) {
                        store_pair(args.Result + c * args.PitchResult + k, g, count, evenResult);
                        continue;
                    }
                    if (args.Velocities) v = load_pair(args.Velocities + at + k, count, evenVelocities);
                    step(w.X, v.X, g.X, rate, args);
                    step(w.Y, v.Y, g.Y, rate, args);
                    store_pair(args.Masters + at + k, w, count, even);
                    if (args.Velocities) store_pair(args.Velocities + at + k, v, count, evenVelocities);
                    if (args.Copy) store_pair(args.Copy + c * args.PitchCopy + k, w, count, evenCopy);
                    float x = rounded(w.X), y = count > 1 ? rounded(w.Y) : 0;
                    square += x * x + y * y;
                }
            }
            UNROLL
            for (int mask = 1; mask <= 2; mask *= 2) square += shuffle_xor(square, mask);
            if (lane_index() % 4 == 0) squares[Sums::warp_column()][Sums::row(i, half)] = square;
        }
    if (!args.NewSquares || args.Result) return;
    barrier();
    int c = row + t;
    if (t < TileSide && c < args.Classes) args.NewSquares[tile.Column * args.PitchSquares + c] = squares[0][t] + squares[1][t] + squares[2][t] + squares[3][t];
}
