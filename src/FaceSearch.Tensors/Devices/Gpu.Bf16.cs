namespace FaceSearch.Tensors;

/// <summary>
/// A matrix in bf16 for hand-written kernels: `Rows` rows, `Pitch` elements from one to the next (a multiple of eight, zeros past the
/// columns). Squares, where asked for: [⌈Columns/128⌉, Rows] sums of squares.
/// </summary>
readonly record struct Bf16Rows(Tensor Elements, Tensor? Squares, int Rows, int Columns, int Pitch) : IDisposable
{
    public nint Address(long row = 0) => Gpu.Address(Elements) + (nint)(2 * row * Pitch);
    public TensorMapPlan Plan(long row, int rows) => new(Address(row), 2L * Pitch, Columns, rows);

    public void Dispose()
    {
        Elements.Dispose();
        Squares?.Dispose();
    }
}

public sealed partial class Gpu
{
    /// Rows of bf16, contents undefined; squares with them where asked for.
    Bf16Rows NewRows(int rows, int columns, bool squares = false)
    {
        int pitch = CudaKernels.ChannelPitch(columns);
        return new(New(Shape.Of(rows, pitch / 2)), squares ? New(Shape.Of(CudaKernels.MarginParts(columns), rows)) : null, rows, columns, pitch);
    }

    /// A matrix of floats, rounded to bf16.
    internal Bf16Rows Pack(Tensor from)
    {
        var to = NewRows(from.Shape.Rows, from.Shape.Cols);
        Pack(from, 0, to.Rows, to);
        return to;
    }

    /// Some rows of a matrix of floats, or of those drawn from it, become the first ones of `to`, with their squares if it has room for them.
    void Pack(Tensor from, int first, int count, in Bf16Rows to, Drawn? drawn = null)
    {
        var args = new PackRowsArguments
        {
            From = Row(from, drawn is null ? first : 0), Index = IndexAt(drawn, first), To = to.Address(), Squares = to.Squares is null ? 0 : Address(to.Squares), PitchFrom = to.Columns, PitchTo = to.Pitch, PitchSquares = to.Rows,
            Rows = count, Columns = to.Columns,
        };
        Start(CudaKernels.PackRows(args), args);
    }

    /// <summary>
    /// Whether tensor cores compute what they should on this machine: the largest error of a product of bf16 matrices that fill no
    /// tile, relative to its largest element. About 10⁻⁷; NaN where the device gives none. Needs <see cref="WhyNoTensorCores"/> to be null.
    /// </summary>
    public double TensorCoreDifference()
    {
        const int rows = 150, columns = 200, depth = 100;
        // Values that bf16 holds.
        float[] Values(int count, ulong stream) => [.. Enumerable.Range(0, count).Select(i => Noise.Below(255, 1, stream, (ulong)i) / 128f - 1)];
        float[] left = Values(rows * depth, 0), right = Values(columns * depth, 1), product = new float[rows * columns];
        using Tensor a = From(Shape.Of(rows, depth), left), b = From(Shape.Of(columns, depth), right), c = New(Shape.Of(rows, columns));
        MatMulBf16(a, false, b, true, c, depth);
        Read(c, product);
        double error = 0, largest = 0;
        for (int i = 0; i < product.Length; i++)
        {
            double sum = 0;
            for (int k = 0; k < depth; k++) sum += (double)left[i / columns * depth + k] * right[i % columns * depth + k];
            // A maximum that a NaN survives.
            (error, largest) = (Math.Max(error, Math.Abs(sum - product[i])), Math.Max(largest, Math.Abs(sum)));
        }
        return error / largest;
    }
}
