using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>kernels/MatMul.cu. With several slices of the depth C holds their results, SliceC elements apart.</summary>
[StructLayout(LayoutKind.Sequential)]
struct MatMulArguments
{
    public nint A, B, C;
    public long PitchA, PitchB, PitchC, SliceC;
    public int Rows, Columns, Depth, SliceDepth;
    public float Alpha;
    public int Add;
}

[StructLayout(LayoutKind.Sequential)]
struct SumSlicesArguments
{
    public nint Slices, To;
    public long Count;
    public int Number, Add;
}

static partial class CudaKernels
{
    /// <summary>C = alpha·op(A)·op(B), or += where Add says so. SliceDepth = <see cref="SliceDepth"/> of the depth and the number of slices.</summary>
    public static CudaLaunch MatMul(in MatMulArguments args, bool transposeA, bool transposeB, bool toBf16)
    {
        if (transposeA && transposeB) throw new NotSupportedException("no kernel multiplies two transposed matrices");
        string form = transposeA ? "tn" : transposeB ? "nt" : "nn";
        return new("MatMul", $"matmul_{form}_{(toBf16 ? "bf16" : "f32")}", Tiles(args.Rows) * Tiles(args.Columns), Blocks(args.Depth, args.SliceDepth), 1, TileThreads, RingBytes);
    }

    /// <summary>The same with a row-major B of floats, C fp32.</summary>
    public static CudaLaunch MatMulFromFloats(in MatMulArguments args) => MatMul(args, false, false, false) with { Kernel = "matmul_nn_from_f32" };

    /// <summary>Elements of the depth in each of about so many slices: whole steps.</summary>
    public static int SliceDepth(int depth, int slices, int step = TileDepth) => Blocks(Blocks(depth, step), slices) * step;

    /// <summary>So many slices that their tiles fill about `wanted` blocks and each has at least eight steps.</summary>
    public static int Slices(int rows, int columns, int depth, int wanted) =>
        Math.Clamp(wanted / (Tiles(rows) * Tiles(columns)), 1, Math.Max(1, depth / (8 * TileDepth)));

    /// <summary>To = the slices' sum, in their order; += where Add says so.</summary>
    public static CudaLaunch SumSlices(in SumSlicesArguments args) => new("MatMul", "sum_slices", Blocks(args.Count, 256), 1, 1, 256, 0);
}
