// The margin head's small kernels, a pass over rows each: time is that of starting them, but for joining many tiles.
//
// pack_rows: fp32 rows, or those that an index names (Partial FC), to bf16 with their sums of squares: what the head takes.
// margin_join: joins partial sums of each row, in a fixed order: [tiles, batch] pairs, 8 bytes each, read once. margin_rows: so too, then the row's loss.
// margin_loss: the mean over the rows that have a class. margin_prepare: what the gradient needs of each row.
#include "margin.h"
#include "tile.h"

struct PackRowsArguments {
    const float* From;
    const int* Index;      // [Rows], or null: row r is row r
    bf16* To;              // on 4 bytes; zeros from Columns to PitchTo, an even number
    float* Squares;        // [⌈Columns/128⌉, Rows] of the rounded values, or null
    i64 PitchFrom, PitchTo, PitchSquares;
    int Rows, Columns;
};

// A warp a row.
KERNEL(pack_rows, 256, PackRowsArguments)
{
    int row = block_x() * 8 + thread_index() / 32, lane = lane_index();
    if (row >= args.Rows) return;
    const float* from = args.From + (args.Index ? args.Index[row] : row) * args.PitchFrom;
    bf16* to = args.To + row * args.PitchTo;
    bool even = is_even(args.From, args.PitchFrom, args.Columns);
    for (int first = 0; first < args.PitchTo; first += 128) {
        float sum = 0;
        UNROLL
        for (int i = 0; i < 2; i++) {
            int k = first + i * 64 + lane * 2, count = args.Columns - k;
            if (k >= args.PitchTo) continue;
            Pair pair{0, 0};
            if (count > 0) pair = load_pair(from + k, count, even);
            store_pair(to + k, pair, 2, true);
            sum += rounded(pair.X) * rounded(pair.X) + rounded(pair.Y) * rounded(pair.Y);
        }
        UNROLL
        for (int mask = 1; mask < 32; mask *= 2) sum += shuffle_xor(sum, mask);
        if (lane == 0 && args.Squares && first < args.Columns) args.Squares[first / 128 * args.PitchSquares + row] = sum;
    }
}

struct MarginRowsArguments {
    const LogSum* Partials;   // [Tiles, Batch]
    const float* Cosines;
    const int* Labels;
    float* FalseLogSums;      // [Batch], natural logarithms
    float* Losses;            // [Batch], 0 for a row without a class
    Numbers Numbers_;
    MarginScales Scales;
    int Batch, Tiles;
};

constexpr int JoinedRows = 8, JoinedSlices = 128;

// A block eight rows: 128 threads each, which join every 128th tile and then each other in halves. Hands each row and its sum to use.
template <class Use> DEVICE void join_tiles(const LogSum* partials, int batch, int tiles, Use use)
{
    int r = thread_index() % JoinedRows, slice = thread_index() / JoinedRows, row = block_x() * JoinedRows + r;
    LogSum sum{Below, 0};
    if (row < batch)
        for (i64 t = slice; t < tiles; t += JoinedSlices) sum.join(partials[t * batch + row]);
    auto joined = (LogSum(*)[JoinedRows])shared_memory();
    joined[slice][r] = sum;
    for (int half = JoinedSlices / 2; half > 0; half /= 2) {
        barrier();
        if (slice < half) joined[slice][r].join(joined[slice + half][r]);
    }
    if (slice == 0 && row < batch) use(row, joined[0][r]);
}

KERNEL(margin_rows, JoinedRows * JoinedSlices, MarginRowsArguments)
{
    join_tiles(args.Partials, args.Batch, args.Tiles, [&](int row, LogSum sum) {
        float falseLogSum = (sum.Most + log2_fast(sum.Sum)) * Ln2;
        args.FalseLogSums[row] = falseLogSum;
        args.Losses[row] = args.Labels[row] < 0 ? 0 : cross_entropy(true_logit(args.Scales.with(args.Numbers_), args.Cosines[row]).Logit, falseLogSum).Loss;
    });
}

struct MarginJoinArguments {
    const LogSum* Partials;   // [Tiles, Batch]
    LogSum* Joined;           // [Batch]
    int Batch, Tiles;
};

KERNEL(margin_join, JoinedRows * JoinedSlices, MarginJoinArguments)
{
    join_tiles(args.Partials, args.Batch, args.Tiles, [&](int row, LogSum sum) { args.Joined[row] = sum; });
}

struct MarginLossArguments {
    const float* Losses;
    float* Loss;
    Numbers Numbers_;
    int Batch;
};

KERNEL(margin_loss, 256, MarginLossArguments)
{
    auto sums = (float*)shared_memory();
    float sum = 0;
    for (int b = thread_index(); b < args.Batch; b += 256) sum += args.Losses[b];
    sums[thread_index()] = sum;
    for (int half = 128; half > 0; half /= 2) {
        barrier();
        if (thread_index() < half) sums[thread_index()] += sums[thread_index() + half];
    }
    if (thread_index() == 0) args.Loss[0] = sums[0] * args.Numbers_.share(args.Batch);
}

struct MarginPrepareArguments {
    const float* Cosines;
    const float* FalseLogSums;
    const int* Labels;
    const float* LossGradient;   // [1]
    float* Rows;                 // [3, Batch]: log₂ of the sum over all classes, weight of the probabilities, ∂L/∂cos of the own class
    Numbers Numbers_;
    MarginScales Scales;
    int Batch;
};

KERNEL(margin_prepare, 256, MarginPrepareArguments)
{
    int b = block_x() * 256 + thread_index();
    if (b >= args.Batch) return;
    float logSum = 0, weight = 0, own = 0;
    if (args.Labels[b] >= 0) {
        float share = args.LossGradient[0] * args.Numbers_.share(args.Batch);
        TrueLogit logit = true_logit(args.Scales.with(args.Numbers_), args.Cosines[b]);
        RowLoss row = cross_entropy(logit.Logit, args.FalseLogSums[b]);
        logSum = (logit.Logit + row.Loss) * Log2E;
        weight = share * args.Scales.FalseScale;
        own = -row.Miss * logit.Slope * share;
    }
    args.Rows[b] = logSum;
    args.Rows[args.Batch + b] = weight;
    args.Rows[2 * args.Batch + b] = own;
}
