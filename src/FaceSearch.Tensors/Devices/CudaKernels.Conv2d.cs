using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>kernels/conv.h: a map [images, height, width, pitch] in bf16; the pitch is a multiple of 8, zeros past the last channel.</summary>
[StructLayout(LayoutKind.Sequential)]
struct MapArgument
{
    public nint Data;
    public int Images, Height, Width, Pitch;
}

/// <summary>What is done to a map as it is loaded: act(Scale·x + Shift) + Residual. Vectors in fp32, zeros up to the pitch. All null: nothing.</summary>
[StructLayout(LayoutKind.Sequential)]
struct OnLoadArgument
{
    public nint Scale, Shift, Slope, Residual;
}

/// <summary>
/// kernels/Conv2d.cu. Weights bf16 [K][taps][channel pitch]. Forward: X → Y, maps. Data: X is the output's gradient, Y the input's.
/// Weight: X and Dy → Y, fp32 slices [K][taps][X.Pitch] for SumSlices. OutHeight, OutWidth, PitchY: Y's, or for the weight Dy's.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
struct Conv2dArguments
{
    public MapArgument X;
    public OnLoadArgument On;
    public nint Weight, Dy, Y, Moments;
    public int OutHeight, OutWidth, PitchY, K;
    public int KernelHeight, KernelWidth, Stride, Padding, SliceOutputs;
}

[StructLayout(LayoutKind.Sequential)]
struct Conv2dMomentsArguments
{
    public nint Tiles, Moments;
    public long Outputs;
    public int Pitch, Channels, TileOutputs;
}

/// <summary>kernels/Conv2d.Depthwise.cu. Weights bf16 [taps][pitch], slices fp32 [taps][pitch].</summary>
[StructLayout(LayoutKind.Sequential)]
struct DepthwiseArguments
{
    public MapArgument X;
    public OnLoadArgument On;
    public nint Weight, Dy, Y, Moments;
    public int OutHeight, OutWidth, KernelHeight, KernelWidth, Stride, Padding, SliceOutputs;
}

static partial class CudaKernels
{
    const int NarrowSide = 64, NarrowRingBytes = RingBytes * (TileSide + NarrowSide) / (2 * TileSide);
    const int DepthwiseThreads = 256, DepthwiseChannels = 64, DepthwiseSharedBytes = 32 * DepthwiseChannels * 4;

    /// <summary>Channels rounded up to whole chunks: a map's pitch.</summary>
    public static int ChannelPitch(int channels) => Blocks(channels, 8) * 8;

    /// <summary>Pairs of moments, of PitchY channels each, that a forward convolution leaves where it is given room for them.</summary>
    public static int MomentTiles(int images, int outHeight, int outWidth) => Blocks((long)images * outHeight * outWidth, TileSide);

    public static CudaLaunch Conv2dForward(in Conv2dArguments args) =>
        Conv2d(args.On.Scale == 0 ? "conv2d_forward" : "conv2d_forward_normalised", args, args.OutHeight, args.OutWidth, 1);

    public static CudaLaunch Conv2dData(in Conv2dArguments args) =>
        Conv2d("conv2d_data", args, Blocks(args.OutHeight, args.Stride), Blocks(args.OutWidth, args.Stride), args.Stride * args.Stride);

    /// Results of up to 64 channels have tiles of half the width.
    static CudaLaunch Conv2d(string kernel, in Conv2dArguments args, int outHeight, int outWidth, int phases)
    {
        bool narrow = args.PitchY <= NarrowSide;
        int columns = Blocks(args.PitchY, narrow ? NarrowSide : TileSide);
        return new("Conv2d", narrow ? kernel + "_narrow" : kernel, checked(MomentTiles(args.X.Images, outHeight, outWidth) * columns), phases, 1, TileThreads, narrow ? NarrowRingBytes : RingBytes);
    }

    /// <summary>SliceOutputs = <see cref="SliceDepth"/> of all outputs; so many slices.</summary>
    public static CudaLaunch Conv2dWeight(in Conv2dArguments args)
    {
        bool narrow = args.K <= NarrowSide;
        string kernel = (args.On.Scale == 0 ? "conv2d_weight" : "conv2d_weight_normalised") + (narrow ? "_narrow" : "");
        int columns = Tiles(args.KernelHeight * args.KernelWidth * args.X.Pitch), slices = Blocks((long)args.X.Images * args.OutHeight * args.OutWidth, args.SliceOutputs);
        return new("Conv2d", kernel, narrow ? columns : checked(Tiles(args.K) * columns), slices, 1, TileThreads, narrow ? NarrowRingBytes : RingBytes);
    }

    public static CudaLaunch Conv2dMoments(in Conv2dMomentsArguments args) => new("Conv2d.Moments", "conv2d_moments", Blocks(args.Channels, 8), 1, 1, 1024, 1024 * 12);

    public static CudaLaunch DepthwiseForward(in DepthwiseArguments args) => Depthwise("depthwise_forward", args, MomentTiles(args.X.Images, args.OutHeight, args.OutWidth), 1);
    public static CudaLaunch DepthwiseData(in DepthwiseArguments args) => Depthwise("depthwise_data", args, MomentTiles(args.X.Images, args.OutHeight, args.OutWidth), 1);

    /// <summary>So many slices of SliceOutputs outputs each.</summary>
    public static CudaLaunch DepthwiseWeight(in DepthwiseArguments args) =>
        Depthwise("depthwise_weight", args, Blocks((long)args.X.Images * args.OutHeight * args.OutWidth, args.SliceOutputs), IsThree(args) ? 1 : args.KernelHeight * args.KernelWidth);

    static CudaLaunch Depthwise(string kernel, in DepthwiseArguments args, int x, int z) =>
        new("Conv2d.Depthwise", IsThree(args) ? kernel + "_3" : kernel, x, Blocks(args.X.Pitch, DepthwiseChannels), z, DepthwiseThreads, DepthwiseSharedBytes);

    static bool IsThree(in DepthwiseArguments args) => args is { KernelHeight: 3, KernelWidth: 3 };
}
