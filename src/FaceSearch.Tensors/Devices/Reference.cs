namespace FaceSearch.Tensors;

/// <summary>Double precision and plain loops: the definition of every op, and the truth in tests.</summary>
public sealed partial class Reference : Device
{
    sealed class Doubles(long count) : Memory
    {
        public readonly double[] Values = new double[count];
        public override long Bytes => 8 * Values.LongLength;
    }

    public override string Name => "reference (fp64)";

    private protected override Memory Allocate(Shape shape) => new Doubles(shape.Count);
    private protected override void Free(Memory memory) { }

    /// The logical elements, row-major (NCHW for maps).
    internal static Span<double> Of(Tensor t) => ((Doubles)t.Memory).Values;
    internal static Span<double> Row(Tensor t, int row) => Of(t).Slice(row * t.Shape.Cols, t.Shape.Cols);

    public override void Write(Tensor to, ReadOnlySpan<float> values)
    {
        CheckCount(to, values.Length);
        var memory = Of(to);
        for (int i = 0; i < values.Length; i++) memory[i] = values[i];
    }

    public override void Read(Tensor from, Span<float> values)
    {
        CheckCount(from, values.Length);
        var memory = Of(from);
        for (int i = 0; i < values.Length; i++) values[i] = (float)memory[i];
    }

    public override void Write(Tensor to, long first, ReadOnlySpan<float> values)
    {
        CheckRange(to, first, values.Length);
        for (int i = 0; i < values.Length; i++) Of(to)[(int)first + i] = values[i];
    }

    public override void Read(Tensor from, long first, Span<float> values)
    {
        CheckRange(from, first, values.Length);
        for (int i = 0; i < values.Length; i++) values[i] = (float)Of(from)[(int)first + i];
    }
}
