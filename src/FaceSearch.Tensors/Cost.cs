namespace FaceSearch.Tensors;

/// <summary>
/// Work of an op as a function of shapes: multiply-accumulates of convolutions and linear layers (what the face
/// literature calls a network's FLOPs), all floating-point operations, and the least bytes moved (each operand once, as its device holds it).
/// One definition feeds the search's limits, the training budget, the profiler and the benchmarks.
/// </summary>
public readonly record struct Cost(long Macs, long Flops, long Bytes)
{
    public static Cost operator +(Cost a, Cost b) => new(a.Macs + b.Macs, a.Flops + b.Flops, a.Bytes + b.Bytes);
    public static Cost operator *(int n, Cost a) => new(n * a.Macs, n * a.Flops, n * a.Bytes);

    /// <summary>A part of the work.</summary>
    internal Cost Share(double share) => new((long)(share * Macs), (long)(share * Flops), (long)(share * Bytes));

    /// <summary>Work dominated by multiply-accumulates over the given operands.</summary>
    public static Cost OfMacs(long macs, params ReadOnlySpan<Tensor> operands) => new(macs, 2 * macs, Traffic(operands));

    /// <summary>The same over parts of operands.</summary>
    public static Cost OfMacs(long macs, params ReadOnlySpan<Shape> operands)
    {
        long floats = 0;
        foreach (var shape in operands) floats += shape.Count;
        return new(macs, 2 * macs, 4 * floats);
    }

    /// <summary>A pass over the operands that does <paramref name="flopsPerElement"/> for each element of the first.</summary>
    public static Cost OfPass(int flopsPerElement, params ReadOnlySpan<Tensor> operands) =>
        new(0, flopsPerElement * operands[0].Shape.Count, Traffic(operands));

    static long Traffic(ReadOnlySpan<Tensor> operands)
    {
        long bytes = 0;
        foreach (var t in operands) bytes += t.Device.ElementBytes(t.Shape) * t.Shape.Count;
        return bytes;
    }
}
