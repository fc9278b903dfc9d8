using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>kernels/PartialFc.cu. Marks: one bit a class, cleared before each step.</summary>
[StructLayout(LayoutKind.Sequential)]
struct PartialFcArguments
{
    public nint Labels, Drawn, LocalLabels, Slots, Marks, Counts, Numbers;
    public ulong Seed;
    public long First;
    public int Batch, Classes, Total;
}

static partial class CudaKernels
{
    const int PositiveThreads = 1024, DrawThreads = 256;

    public static int PartialMarks(int classes) => Blocks(classes, 32);
    public static int PartialCounts(int total) => 1 + Blocks(total, DrawThreads);

    /// <summary>The three launches of a draw, in turn.</summary>
    public static CudaLaunch[] PartialFc(in PartialFcArguments args) =>
    [
        new("PartialFc", "partial_positives", 1, 1, 1, PositiveThreads, PositiveThreads * 4),
        new("PartialFc", "partial_count", Blocks(args.Total, DrawThreads), 1, 1, DrawThreads, DrawThreads * 4),
        new("PartialFc", "partial_write", Blocks(args.Total, DrawThreads), 1, 1, DrawThreads, DrawThreads * 4),
    ];
}
