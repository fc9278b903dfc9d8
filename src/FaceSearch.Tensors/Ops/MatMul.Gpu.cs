using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        int m = c.Shape.Rows, n = c.Shape.Cols, depth = transposeA ? a.Shape.Rows : a.Shape.Cols;
        var left = transposeA ? MatrixOperand.Columns(Of(a), m) : MatrixOperand.Rows(Of(a), m, depth);
        var right = transposeB ? MatrixOperand.Rows(Of(b), n, depth) : MatrixOperand.Columns(Of(b), n);
        Multiply(left, right, new MatrixResult(Of(c), n, 0), m, n, depth);
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
