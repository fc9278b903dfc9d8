namespace FaceSearch.Tensors;

/// <summary>Which of a convolution's three products. Data: X is the output's gradient, Y the input's.</summary>
enum Conv2dPass { Forward, Data, Weight }

/// <summary>
/// kernels/Conv2d.Hopper.cu, with the argument struct of kernels/Conv2d.cu, in which X.Data, Weight and Dy are tensor maps by the plans below, made
/// of the same struct with addresses.
/// </summary>
static partial class CudaKernels
{
    // Pixels of the lines of two stages, where a norm is applied on load.
    const int LinesBytes = 2 * TileSide * 4;

    /// <summary>
    /// Whether the kernels for compute capability 9.0 take a convolution. Not where steps of 64 channels would be less than two thirds full: by so
    /// much wgmma may be expected to be faster than mma.sync. Nor the data gradient of a strided one, which goes by phases and would need a tensor map
    /// for each. Nor what a tensor map cannot say (<see cref="PixelGather"/>).
    /// </summary>
    public static bool FitsHopper(Conv2dPass pass, in Conv2dArguments args)
    {
        int depth = Blocks(args.X.Pitch, TensorMapPlan.Box) * TensorMapPlan.Box;
        return args.X.Pitch >= TensorMapPlan.Box && 3 * args.X.Pitch >= 2 * depth && (pass != Conv2dPass.Data || args.Stride == 1)
            && args.Stride <= 8 && args.KernelHeight <= 128 && args.KernelWidth <= 128 && args.Padding <= 127;
    }

    /// <summary>X as it is gathered.</summary>
    public static TensorMapPlan GatherPlan(Conv2dPass pass, in Conv2dArguments args)
    {
        var x = args.X;
        (int width, int height) = pass == Conv2dPass.Data ? (args.KernelWidth - 1 - args.Padding, args.KernelHeight - 1 - args.Padding) : (args.Padding, args.Padding);
        return new(x.Data, 2L * x.Pitch, x.Pitch, (long)x.Images * x.Height * x.Width)
        {
            Gather = new(x.Width, x.Height, x.Images, args.KernelWidth, args.KernelHeight, width, height, args.Stride),
        };
    }

    /// <summary>Forward and data: the matrix [K][taps · pitch of the input].</summary>
    public static TensorMapPlan WeightPlan(Conv2dPass pass, in Conv2dArguments args)
    {
        long width = (long)args.KernelHeight * args.KernelWidth * (pass == Conv2dPass.Data ? args.PitchY : args.X.Pitch);
        return new(args.Weight, 2 * width, width, args.K);
    }

    /// <summary>Weight: Dy as the matrix [outputs][PitchY].</summary>
    public static TensorMapPlan DyPlan(in Conv2dArguments args) => new(args.Dy, 2L * args.PitchY, args.PitchY, (long)args.X.Images * args.OutHeight * args.OutWidth);

    /// <summary>The launch of a dense convolution; of a Hopper one the slices of the outputs are multiples of 64.</summary>
    public static CudaLaunch Conv2d(Conv2dPass pass, in Conv2dArguments args, bool hopper)
    {
        var launch = pass switch { Conv2dPass.Forward => Conv2dForward(args), Conv2dPass.Data => Conv2dData(args), _ => Conv2dWeight(args) };
        if (!hopper) return launch;
        bool narrow = launch.Kernel.EndsWith("_narrow", StringComparison.Ordinal);
        // The weight gradient's columns go by boxes of 64 channels of a tap, two a tile.
        int boxes = args.KernelHeight * args.KernelWidth * Blocks(args.X.Pitch, TensorMapPlan.Box), columns = Blocks(boxes, 2);
        if (pass == Conv2dPass.Weight) launch = launch with { GridX = narrow ? columns : checked(Tiles(args.K) * columns) };
        return launch with { Source = "Conv2d.Hopper", Kernel = launch.Kernel + "_hopper", SharedBytes = HopperSharedBytes(narrow ? 3 : 4) + (args.On.Scale == 0 ? 0 : LinesBytes) };
    }
}
