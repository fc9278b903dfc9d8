using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// What the streams of random numbers of the data are for; each purpose has streams of its own.
enum Purpose : ulong { Person = 0xDA7A_0001, Photo, Count, Pixel, Flip, FlipTarget, Split, SplitImage, HoldOut, PairOf, Order, Window, Warp, Light, Erase }

static class PurposeStreams
{
    /// <summary>The stream of one object (image, identity, epoch) of a purpose.</summary>
    public static ulong Of(this Purpose purpose, long item = 0) => ((ulong)purpose << 40) + (ulong)item;
}

/// <summary>Numbers drawn one after the other from one stream. Only + and ×, so every machine draws the same bits.</summary>
struct Draws(int seed, ulong stream)
{
    ulong next;

    public float Between(float low, float high) => low + (high - low) * (float)Noise.Uniform((ulong)seed, stream, next++);

    /// <summary>0 to n - 1.</summary>
    public int Below(int n) => Noise.Below(n, (ulong)seed, stream, next++);

    /// <summary>Around 0, triangular, within ±<paramref name="width"/> (standard deviation width/√6).</summary>
    public float Around(float width) => (Between(-1, 1) + Between(-1, 1)) * (width / 2);

    public bool Chance(float probability) => Between(0, 1) < probability;
}
