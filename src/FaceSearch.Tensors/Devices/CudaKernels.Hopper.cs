namespace FaceSearch.Tensors;

/// <summary>
/// What cuTensorMapEncodeTiled is told of a bf16 matrix [height, width] (rank 2, element strides 1, no interleave, a permutation of
/// 128 bytes, zeros outside): its address and the bytes between rows, both multiples of 16; a load brings a box of 64 rows by 64 elements. The
/// 128 bytes it makes go to global memory, on a boundary of 64, before the launch; the argument struct names them.
/// </summary>
readonly record struct TensorMapPlan(nint Address, long PitchBytes, long Width, long Height)
{
    public const int Box = 64;

    /// <summary>For cuTensorMapEncodeIm2col instead: the rows are pixels, and a box is what 64 neighbouring outputs of a convolution see through one tap.</summary>
    public PixelGather? Gather { get; init; }
}

/// <summary>
/// How a convolution goes over a map NHWC: through all taps the first pixel that a kernel touches lies between `-padding` and, from the last pixel
/// on, `padding - (kernel - 1)`, every `Stride` pixels. Strides up to 8; kernels and paddings up to 128.
/// </summary>
readonly record struct PixelGather(int Width, int Height, int Images, int KernelWidth, int KernelHeight, int PaddingWidth, int PaddingHeight, int Stride)
{
    /// <summary>In the order of the dimensions: along the width, along the height.</summary>
    public (int Width, int Height) LowerCorner => (-PaddingWidth, -PaddingHeight);
    public (int Width, int Height) UpperCorner => (PaddingWidth - (KernelWidth - 1), PaddingHeight - (KernelHeight - 1));
}

/// <summary>The kernels of kernels/*.Hopper.cu: the same launches and argument structs, with tensor maps in the operands' places.</summary>
static partial class CudaKernels
{
    /// A ring of three stages of so many boxes, moved to a boundary of 1024 bytes, and its barriers.
    static int HopperSharedBytes(int boxes = 4) => 3 * boxes * TensorMapPlan.Box * TensorMapPlan.Box * 2 + 1024 + 3 * 8;

    /// <summary>C = alpha·A·Bᵀ, A and B tensor maps; with slices, SliceDepth a multiple of 64.</summary>
    public static CudaLaunch MatMulHopper(in MatMulArguments args, bool toBf16) =>
        MatMul(args, false, true, toBf16) with { Source = "MatMul.Hopper", Kernel = $"matmul_nt_{(toBf16 ? "bf16" : "f32")}_hopper", SharedBytes = HopperSharedBytes() };

    /// <summary>Unit and Centres tensor maps of bf16 matrices, the latter of these classes alone.</summary>
    public static CudaLaunch MarginForwardHopper(in MarginForwardArguments args) => MarginHopper(MarginForward(args, false), "margin_forward_hopper");
    public static CudaLaunch MarginGradientHopper(in MarginGradientArguments args) => MarginHopper(MarginGradient(args, false), "margin_gradient_hopper");

    static CudaLaunch MarginHopper(CudaLaunch launch, string kernel) => launch with { Source = "MarginSoftmax.Hopper", Kernel = kernel, SharedBytes = HopperSharedBytes() };
}
