using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// How the channels of a map, or the columns of a matrix, lie in CPU memory: sixteen at a time, as a set of images whose
/// pixels are one stride apart. Passes that share values per channel run over its tiles: one block of sixteen channels of
/// a group of images. Tiles depend on the shape alone, so that sums over them do not depend on the threads.
/// </summary>
readonly struct Channels
{
    // A block of sixteen channels of a tile holds about this many floats.
    const int TileFloats = 1 << 16;

    readonly int channels, images, perTile, groups;
    readonly long blockStride;

    public Channels(Shape s)
    {
        (channels, Blocks) = (s.Channels, CpuLayout.Blocks(s.Channels));
        (images, Pixels, Stride) = s.IsMap ? (s.Images, s.Height * s.Width, CpuLayout.Lanes) : (1, s.Rows, s.Cols);
        blockStride = s.IsMap ? CpuLayout.Lanes * (long)Pixels : CpuLayout.Lanes;
        ImageStride = Blocks * blockStride;
        perTile = Math.Max(1, TileFloats / (CpuLayout.Lanes * Pixels));
        groups = (images + perTile - 1) / perTile;
        IsMap = s.IsMap;
    }

    public bool IsMap { get; }
    public int Blocks { get; }
    /// Pixels of one image, and the floats from one to the next.
    public int Pixels { get; }
    public int Stride { get; }
    /// From a pixel to the same pixel of the next image. Passes ask for it while they work on this one: a block of a small
    /// map is too short a run for the processor to see where it leads.
    public long ImageStride { get; }
    public int Tiles => Blocks * groups;
    public int TilesPerBlock => groups;

    public int Block(int tile) => tile / groups;
    public int FirstImage(int tile) => tile % groups * perTile;
    public int EndImage(int tile) => Math.Min(images, FirstImage(tile) + perTile);
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
