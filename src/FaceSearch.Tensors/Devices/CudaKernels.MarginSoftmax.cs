using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>kernels/margin.h: what of a <see cref="Margin"/> is an argument; the rest is read in memory (kernels/numbers.h).</summary>
[StructLayout(LayoutKind.Sequential)]
struct MarginScales(Margin margin)
{
    public float TrueScale = margin.TrueScale, FalseScale = margin.FalseScale;
    public int StraightThrough = margin.StraightThrough ? 1 : 0;
}

/// <summary>kernels/MarginSoftmax.cu: the operands of both passes. Pointers are to the first of these classes.</summary>
[StructLayout(LayoutKind.Sequential)]
struct MarginTileArgument
{
    public nint Unit, Centres, Squares, Labels;
    public long PitchUnit, PitchCentres, PitchSquares, First;
    public int Batch, Dimension, Classes, Parts;
    public float FalseScale;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginForwardArguments
{
    public MarginTileArgument Tile;
    public nint Partials, Cosines;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginGradientArguments
{
    public MarginTileArgument Tile;
    public nint Rows, Cosines, Gradients, Along;
    public long PitchGradients, PitchAlong;
}

[StructLayout(LayoutKind.Sequential)]
struct PackRowsArguments
{
    public nint From, Index, To, Squares;
    public long PitchFrom, PitchTo, PitchSquares;
    public int Rows, Columns;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginRowsArguments
{
    public nint Partials, Cosines, Labels, FalseLogSums, Losses, Numbers;
    public MarginScales Scales;
    public int Batch, Tiles;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginJoinArguments
{
    public nint Partials, Joined;
    public int Batch, Tiles;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginLossArguments
{
    public nint Losses, Loss, Numbers;
    public int Batch;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginPrepareArguments
{
    public nint Cosines, FalseLogSums, Labels, LossGradient, Rows, Numbers;
    public MarginScales Scales;
    public int Batch;
}

[StructLayout(LayoutKind.Sequential)]
struct MarginCentresArguments
{
    public nint Gradients, Unit, Along, Squares, Index, Masters, Velocities, Numbers, Result, Copy, NewSquares;
    public long PitchGradients, PitchUnit, PitchAlong, PitchSquares, PitchMasters, PitchResult, PitchCopy;
    public int Batch, Dimension, Classes, Parts, AlongTiles;
    public float Momentum, WeightDecay;
    public int Nesterov;
}

/// <summary>
/// The head in launches. Forward: pack_rows of the embeddings (and of the centres, once, or of those Partial FC drew),
/// margin_forward over all classes (of many, margin_join after every few thousand tiles), margin_rows, margin_loss. Backward: margin_prepare, then for every
/// <see cref="MarginClasses"/> classes margin_gradient, MatMul (gradients · centres, added to the slices of the embeddings'
/// gradient), margin_centres; at last sum_slices. The centres' squares after an update lie in a second buffer: swap them.
/// </summary>
static partial class CudaKernels
{
    /// <summary>Rows of sums of squares, and of `along`: one for each 128 dimensions, or rows of the batch.</summary>
    public static int MarginParts(int elements) => Tiles(elements);

    /// <summary>How many (max, sum) pairs forward leaves for each row.</summary>
    public static int MarginPartials(int classes) => Tiles(classes);

    /// <summary>Classes whose gradients, of all rows, take about that many bytes: whole tiles.</summary>
    public static int MarginClasses(int batch, int classes, long bytes = 16 << 20) =>
        (int)Math.Clamp(bytes / (2L * batch) / TileSide, 1, Tiles(classes)) * TileSide;

    public static CudaLaunch MarginForward(in MarginForwardArguments args, bool floatCentres) => MarginPass("margin_forward", args.Tile, floatCentres);
    public static CudaLaunch MarginGradient(in MarginGradientArguments args, bool floatCentres) => MarginPass("margin_gradient", args.Tile, floatCentres);

    static CudaLaunch MarginPass(string kernel, in MarginTileArgument tile, bool floatCentres) =>
        new("MarginSoftmax", $"{kernel}_{(floatCentres ? "f32" : "bf16")}", checked(Tiles(tile.Batch) * Tiles(tile.Classes)), 1, 1, TileThreads, RingBytes);

    public static CudaLaunch MarginCentres(in MarginCentresArguments args) =>
        new("MarginSoftmax.Centres", "margin_centres", checked(Tiles(args.Classes) * Tiles(args.Dimension)), 1, 1, TileThreads, RingBytes);

    public static CudaLaunch PackRows(in PackRowsArguments args) => new("MarginSoftmax.Rows", "pack_rows", Blocks(args.Rows, 8), 1, 1, 256, 0);
    public static CudaLaunch MarginRows(in MarginRowsArguments args) => new("MarginSoftmax.Rows", "margin_rows", Blocks(args.Batch, 8), 1, 1, 1024, 1024 * 8);
    public static CudaLaunch MarginJoin(in MarginJoinArguments args) => new("MarginSoftmax.Rows", "margin_join", Blocks(args.Batch, 8), 1, 1, 1024, 1024 * 8);
    public static CudaLaunch MarginLoss(in MarginLossArguments args) => new("MarginSoftmax.Rows", "margin_loss", 1, 1, 1, 256, 256 * 4);
    public static CudaLaunch MarginPrepare(in MarginPrepareArguments args) => new("MarginSoftmax.Rows", "margin_prepare", Blocks(args.Batch, 256), 1, 1, 256, 0);
}
