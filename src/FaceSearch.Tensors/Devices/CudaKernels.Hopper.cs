namespace FaceSearch.Tensors;

/// <summary>
/// What cuTensorMapEncodeTiled is told of a bf16 matrix [height, width] (rank 2, element strides 1, no interleave, a permutation of
/// 128 bytes, zeros outside): its address and the bytes between rows, both multiples of 16, and the box that one load brings. The
/// 128 bytes it makes go to global memory, on a boundary of 64, before the launch; the argument struct names them.
/// </summary>
readonly record struct TensorMapPlan(nint Address, long PitchBytes, long Width, long Height)
{
    public const int BoxWidth = 64, BoxHeight = CudaKernels.TileSide;
}

/// <summary>The kernels of kernels/*.Hopper.cu: the same launches and argument structs, with tensor maps in the operands' places.</summary>
static partial class CudaKernels
{
    /// A ring of three stages, moved to a boundary of 1024 bytes, and its barriers.
    const int HopperSharedBytes = 3 * 2 * TileSide * TensorMapPlan.BoxWidth * 2 + 1024 + 3 * 8;

    /// <summary>C = alpha·A·Bᵀ, A and B tensor maps; with slices, SliceDepth a multiple of 64.</summary>
    public static CudaLaunch MatMulHopper(in MatMulArguments args, bool toBf16) =>
        MatMul(args, false, true, toBf16) with { Source = "MatMul.Hopper", Kernel = $"matmul_nt_{(toBf16 ? "bf16" : "f32")}_hopper", SharedBytes = HopperSharedBytes };

    /// <summary>Unit and Centres tensor maps of bf16 matrices, the latter of these classes alone.</summary>
    public static CudaLaunch MarginForwardHopper(in MarginForwardArguments args) => MarginHopper(MarginForward(args, false), "margin_forward_hopper");
    public static CudaLaunch MarginGradientHopper(in MarginGradientArguments args) => MarginHopper(MarginGradient(args, false), "margin_gradient_hopper");

    static CudaLaunch MarginHopper(CudaLaunch launch, string kernel) => launch with { Source = "MarginSoftmax.Hopper", Kernel = kernel, SharedBytes = HopperSharedBytes };
}
