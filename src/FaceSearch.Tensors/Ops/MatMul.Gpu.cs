using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        int m = c.Shape.Rows, n = c.Shape.Cols, depth = transposeA ? a.Shape.Rows : a.Shape.Cols;
        if (IsMixed && !(transposeA && transposeB))
        {
            MatMulBf16(a, transposeA, b, transposeB, c, depth);
            return;
        }
        var left = transposeA ? MatrixOperand.Columns(Of(a), m) : MatrixOperand.Rows(Of(a), m, depth);
        var right = transposeB ? MatrixOperand.Rows(Of(b), n, depth) : MatrixOperand.Columns(Of(b), n);
        Multiply(left, right, new MatrixResult(Of(c), n, 0), m, n, depth);
    }

    /// Both operands rounded to bf16, sums in floats. Few tiles and much depth: the depth goes in slices, whose sums are added in their order.
    void MatMulBf16(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c, int depth)
    {
        using Bf16Rows left = Pack(a), right = Pack(b);
        MatMulBf16(left, transposeA, right, transposeB, c, depth);
    }

    internal void MatMulBf16(in Bf16Rows left, bool transposeA, in Bf16Rows right, bool transposeB, Tensor c, int depth)
    {
        int rows = c.Shape.Rows, columns = c.Shape.Cols;
        int sliceDepth = CudaKernels.SliceDepth(depth, CudaKernels.Slices(rows, columns, depth, FewTiles)), slices = (depth + sliceDepth - 1) / sliceDepth;
        using var sums = slices == 1 ? null : New(Shape.Of(slices, rows, columns));
        // Hopper's product has no operand that lies across the depth, and its slices are of whole 64.
        bool hopper = Hopper && transposeB && slices == 1;
        var args = new MatMulArguments
        {
            A = hopper ? TensorMap(left.Plan(0, left.Rows)) : left.Address(), B = hopper ? TensorMap(right.Plan(0, right.Rows)) : right.Address(), C = Address(sums ?? c),
            PitchA = left.Pitch, PitchB = right.Pitch, PitchC = columns, SliceC = (long)rows * columns, Rows = rows, Columns = columns, Depth = depth, SliceDepth = sliceDepth, Alpha = 1,
        };
        Start(hopper ? CudaKernels.MatMulHopper(args, false) : CudaKernels.MatMul(args, transposeA, transposeB, false), args);
        if (sums is not null) SumSlices(sums, slices, c);
    }

    /// to = the sum of so many slices of its size, in their order.
    void SumSlices(Tensor slices, int number, Tensor to)
    {
        var args = new SumSlicesArguments { Slices = Address(slices), To = Address(to), Count = to.Shape.Count, Number = number };
        Start(CudaKernels.SumSlices(args), args);
    }
}

/// <summary>The rows or the columns of a matrix in memory. Lines are 64-bit offsets: a million classes have more floats than 32 bits count.</summary>
readonly struct MatrixOperand : IOperand
{
    readonly View values;
    readonly long lineStride;
    readonly int lines, termStride;

    MatrixOperand(View values, int lines, int lineStride, int termStride) =>
        (this.values, this.lines, this.lineStride, this.termStride) = (values, lines, lineStride, termStride);

    /// Lines are the rows, `depth` long.
    public static MatrixOperand Rows(View values, int rows, int depth) => new(values, rows, depth, 1);
    /// Lines are the columns, of which a row has so many.
    public static MatrixOperand Columns(View values, int columns, int stride = 0) => new(values, columns, 1, stride == 0 ? columns : stride);

    public int AlongDepth => termStride == 1 ? 1 : 0;
    public Line LineOf(int line, int part) => new() { Offset = line < lines ? line * lineStride : -1 };
    public float At(Line line, int k) => line.Offset < 0 ? 0 : values[line.Offset + (long)k * termStride];
}

/// A row-major matrix that gets the product, or to which it is added.
readonly struct MatrixResult(View values, int columns, int add) : IResult
{
    public void Put(int row, int column, int part, float value)
    {
        long i = (long)row * columns + column;
        values[i] = add != 0 ? values[i] + value : value;
    }
}
