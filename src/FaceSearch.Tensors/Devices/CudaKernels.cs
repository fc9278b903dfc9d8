using System.IO.Compression;

namespace FaceSearch.Tensors;

/// <summary>How a kernel of kernels/*.cu starts: the source file it is in, its name, blocks, threads of a block, dynamic shared memory.</summary>
readonly record struct CudaLaunch(string Source, string Kernel, int GridX, int GridY, int GridZ, int Threads, int SharedBytes)
{
    /// Above it a launch must be announced (cuFuncSetAttribute, maximum dynamic shared size).
    public const int QuietSharedBytes = 48 << 10;
}

/// <summary>
/// The hand-written CUDA kernels: their compiled text, and for each, in the file of its source's name, the twin of its
/// argument struct and its launch geometry as a pure function. Nothing here needs a GPU; tests start the same launches on the
/// CPU (kernels/emulate). Pointers are device addresses; pitches and counts are in elements.
/// </summary>
static partial class CudaKernels
{
    /// The sides of a block's tile and what its ring of stages takes (kernels/tile.h).
    public const int TileSide = 128, TileDepth = 32, TileThreads = 256, RingBytes = 4 * 2 * TileSide * TileDepth * 2;

    /// <summary>What a source is compiled for: compute capability 8.0 and everything after it, or 9.0 with its own instructions.</summary>
    public static string Target(string source) => source.EndsWith(".Hopper", StringComparison.Ordinal) ? "sm_90a" : "sm_80";

    /// <summary>The PTX of kernels/{source}.cu, or null where this build had no compiler for it.</summary>
    public static string? Ptx(string source)
    {
        using var stream = typeof(CudaKernels).Assembly.GetManifestResourceStream($"{source}.{Target(source)}.ptx");
        return stream is null ? null : new StreamReader(new GZipStream(stream, CompressionMode.Decompress)).ReadToEnd();
    }

    /// <summary>The sources that this build has compiled.</summary>
    public static string[] Sources { get; } = [.. typeof(CudaKernels).Assembly.GetManifestResourceNames().Where(n => n.EndsWith(".ptx", StringComparison.Ordinal)).Select(n => n[..n.LastIndexOf(".sm_", StringComparison.Ordinal)]).Order()];

    static int Tiles(int elements) => Blocks(elements, TileSide);
    static int Blocks(long elements, int each) => checked((int)((elements + each - 1) / each));
}
