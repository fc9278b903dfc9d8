using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// How the channels of a map, or the columns of a matrix, lie in CPU memory: sixteen at a time, as planes of pixels that are one stride apart.
/// Passes that share values per channel run over its tiles: planes that lie side by side, of a few images or of a part of one, so that memory
/// is read in the order in which the processor fetches it ahead by itself. (Requests of ours made large maps a fifth slower, and small ones no faster.)
/// Tiles depend on the shape alone, so that sums over them do not depend on the threads.
/// </summary>
readonly struct Channels
{
    // A tile has about this many floats; but there are at least so many groups of images, where there are images.
    const int TileFloats = 1 << 16, LeastGroups = 8;

    readonly int channels, images, chunks;
    readonly long blockStride;

    public Channels(Shape s)
    {
        (channels, Blocks, IsMap) = (s.Channels, CpuLayout.Blocks(s.Channels), s.IsMap);
        (images, Pixels, Stride) = IsMap ? (s.Images, s.Height * s.Width, CpuLayout.Lanes) : (1, s.Rows, s.Cols);
        blockStride = IsMap ? CpuLayout.Lanes * (long)Pixels : CpuLayout.Lanes;
        long floats = images * Blocks * blockStride;
        Groups = (int)Math.Clamp(floats / TileFloats, Math.Min(LeastGroups, images), images);
        chunks = IsMap ? (int)Math.Clamp(floats / Groups / TileFloats, 1, Blocks) : Blocks;
    }

    public bool IsMap { get; }
    public int Blocks { get; }
    /// Pixels of a plane, and the floats from one to the next.
    public int Pixels { get; }
    public int Stride { get; }
    public int Tiles => Groups * chunks;

    public int FirstImage(int tile) => FirstOf(tile / chunks);
    public int EndImage(int tile) => FirstOf(tile / chunks + 1);
    int FirstOf(int group) => (int)((long)images * group / Groups);
    public int FirstBlock(int tile) => Blocks * (tile % chunks) / chunks;
    public int EndBlock(int tile) => Blocks * (tile % chunks + 1) / chunks;

    /// Groups of images, each of which leaves a partial sum of every block, and which of these a tile adds to.
    public int Groups { get; }
    public int Partials => Groups * Blocks;
    public int Partial(int tile, int block) => PartialOf(tile / chunks, block);
    public int PartialOf(int group, int block) => group * Blocks + block;

    /// The first pixel of an image's block of channels.
    public long Offset(int image, int block) => (image * (long)Blocks + block) * blockStride;
    /// Lanes of a block that are there to be read and written.
    public int Lanes(int block) => IsMap ? CpuLayout.Lanes : Math.Min(CpuLayout.Lanes, channels - block * CpuLayout.Lanes);
}

public sealed unsafe partial class Cpu<V>
{
    /// What is done to the plane of a block that begins so many floats from the map's first; its group's partial sums, if there are any, stand at `partial`.
    delegate void OfPlane(int block, long at, float* partial);

    /// All planes, tile by tile as they lie in memory, with `sums` partial sums for each block of a group of images, zero before.
    void ForPlanes(Channels view, float* partials, int sums, OfPlane act) => workers.Run(view.Tiles, (tile, _) =>
    {
        for (int block = view.FirstBlock(tile), end = view.EndBlock(tile); block < end; block++)
            for (int i = 0; i < sums; i += 16) V.Store(V.Zero, partials + (long)sums * view.Partial(tile, block) + i);
        for (int n = view.FirstImage(tile), end = view.EndImage(tile); n < end; n++)
            for (int block = view.FirstBlock(tile), last = view.EndBlock(tile); block < last; block++)
                act(block, view.Offset(n, block), partials + (long)sums * view.Partial(tile, block));
    });

    /// A sum of one channel over the groups of images, from partial sums `stride` floats apart.
    static double Total(Channels view, float* partials, int stride, int channel)
    {
        double sum = 0;
        for (int group = 0; group < view.Groups; group++) sum += partials[(long)stride * view.PartialOf(group, channel / 16) + channel % 16];
        return sum;
    }
}

/// <summary>Reads and writes sixteen lanes or the first few: a type parameter, so that whole vectors pay nothing.</summary>
unsafe interface IReach
{
    static abstract V Load<V>(float* p, int lanes) where V : struct, ILanes<V>;
    static abstract void Store<V>(V v, float* p, int lanes) where V : struct, ILanes<V>;
}

readonly unsafe struct Whole : IReach
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(float* p, int lanes) where V : struct, ILanes<V> => V.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V v, float* p, int lanes) where V : struct, ILanes<V> => V.Store(v, p);
}

/// Whole vectors, written past the caches.
readonly unsafe struct Streamed : IReach
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(float* p, int lanes) where V : struct, ILanes<V> => V.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V v, float* p, int lanes) where V : struct, ILanes<V> => V.Stream(v, p);
}

readonly unsafe struct Part : IReach
{
    public static V Load<V>(float* p, int lanes) where V : struct, ILanes<V> => Lanes.LoadPart<V>(p, lanes);
    public static void Store<V>(V v, float* p, int lanes) where V : struct, ILanes<V> => Lanes.StorePart(v, p, lanes);
}
