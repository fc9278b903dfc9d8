// Mean and biased variance [2, channels] from the sums and squared deviations that a convolution left of each tile of outputs:
// joined pairwise in a fixed order (Chan, Golub and LeVeque 1983), so that a mean far larger than the deviation does no harm.
// A block eight channels: 128 threads each take every 128th tile and then each other in halves. Reads 8 bytes a tile and channel.
#include "cu.h"

struct Conv2dMomentsArguments {
    const Pair* Tiles;   // [number of tiles, Pitch]
    float* Moments;      // [2, Channels]
    i64 Outputs;         // of a channel; tiles are of TileOutputs, the last may be smaller
    int Pitch, Channels, TileOutputs;
};

struct Joined {
    float Count, Mean, Deviations;

    DEVICE void join(Joined other)
    {
        float count = Count + other.Count;
        if (count == 0) return;
        float apart = other.Mean - Mean, share = other.Count / count;
        Deviations += other.Deviations + apart * apart * share * Count;
        Mean += apart * share;
        Count = count;
    }
};

constexpr int MomentChannels = 8, MomentSlices = 128;

KERNEL(conv2d_moments, MomentChannels * MomentSlices, Conv2dMomentsArguments)
{
    int own = thread_index() % MomentChannels, slice = thread_index() / MomentChannels, c = block_x() * MomentChannels + own;
    i64 tiles = (args.Outputs + args.TileOutputs - 1) / args.TileOutputs;
    Joined sum{0, 0, 0};
    if (c < args.Channels)
        for (i64 t = slice; t < tiles; t += MomentSlices) {
            float count = (float)least((i64)args.TileOutputs, args.Outputs - t * args.TileOutputs);
            Pair tile = args.Tiles[t * args.Pitch + c];
            sum.join({count, tile.X / count, tile.Y});
        }
    auto joined = (Joined(*)[MomentChannels])shared_memory();
    joined[slice][own] = sum;
    for (int half = MomentSlices / 2; half > 0; half /= 2) {
        barrier();
        if (slice < half) joined[slice][own].join(joined[slice + half][own]);
    }
    if (slice > 0 || c >= args.Channels) return;
    args.Moments[c] = joined[0][own].Mean;
    args.Moments[args.Channels + c] = joined[0][own].Deviations / joined[0][own].Count;
}
