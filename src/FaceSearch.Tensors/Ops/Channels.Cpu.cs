using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// How the channels of a map, or the columns of a matrix, lie in CPU memory: sixteen at a time, as a set of images whose
/// pixels are one stride apart. Passes that share values per channel run over its tiles: one block of sixteen channels of
/// a group of images, group after group as they lie in memory (<see cref="Workers"/>). Tiles depend on the shape alone, so that sums over them
/// do not depend on the threads.
/// </summary>
readonly struct Channels
{
    // A block of sixteen channels of a tile holds at most about this many floats, and there are as many groups where there are images enough.
    const int TileFloats = 1 << 16, LeastGroups = 8;

    readonly int channels, images, groups;
    readonly long blockStride;

    public Channels(Shape s)
    {
        (channels, Blocks) = (s.Channels, CpuLayout.Blocks(s.Channels));
        (images, Pixels, Stride) = s.IsMap ? (s.Images, s.Height * s.Width, CpuLayout.Lanes) : (1, s.Rows, s.Cols);
        blockStride = s.IsMap ? CpuLayout.Lanes * (long)Pixels : CpuLayout.Lanes;
        ImageStride = Blocks * blockStride;
        groups = Math.Min(images, Math.Max(LeastGroups, (int)(s.Count / channels * CpuLayout.Lanes / TileFloats)));
        IsMap = s.IsMap;
    }

    public bool IsMap { get; }
    public int Blocks { get; }
    /// Pixels of one image, and the floats from one to the next.
    public int Pixels { get; }
    public int Stride { get; }
    public long ImageStride { get; }
    public int Tiles => Blocks * groups;

    public int Block(int tile) => tile % Blocks;
    public int FirstImage(int tile) => FirstOf(tile / Blocks);
    public int EndImage(int tile) => FirstOf(tile / Blocks + 1);
    int FirstOf(int group) => (int)((long)images * group / groups);
    /// Tiles of a block, in order.
    public int TilesPerBlock => groups;
    public int TileOf(int block, int number) => number * Blocks + block;

    /// From a pixel of a tile's image to the same pixel of what is probably read next, the next image or the next tile's first. Passes ask for it
    /// while they work on this one: a block of a small map is too short a run for the processor to see where it leads.
    public long Ahead(int tile, int image) => image + 1 < EndImage(tile) ? ImageStride : Offset(FirstImage(tile + 1), Block(tile + 1)) - Offset(image, Block(tile));

    /// The first pixel of an image's block of channels.
    public long Offset(int image, int block) => image * ImageStride + block * blockStride;
    /// Lanes of a block that are there to be read and written.
    public int Lanes(int block) => IsMap ? CpuLayout.Lanes : Math.Min(CpuLayout.Lanes, channels - block * CpuLayout.Lanes);
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
