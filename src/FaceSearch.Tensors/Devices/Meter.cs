namespace FaceSearch.Tensors;

/// <summary>
/// Computes nothing and holds nothing: runs a network only to count its cost and its memory, exactly as the
/// <see cref="Cpu{V}"/> device would allocate it. This is how limits are checked before training.
/// </summary>
public sealed partial class Meter : Device
{
    sealed class Nothing(long bytes) : Memory
    {
        public override long Bytes => bytes;
    }

    public override string Name => "meter";

    private protected override Memory Allocate(Shape shape) => new Nothing(CpuLayout.Bytes(shape));
    private protected override void Free(Memory memory) { }
    public override bool IsMeter => true;

    private protected override bool KeepsFlat(Shape shape) => CpuLayout.KeepsFlat(shape);
    private protected override void Clear(Tensor tensor) { }
    public override void Write(Tensor to, ReadOnlySpan<float> values) => CheckCount(to, values.Length);
    public override void Read(Tensor from, Span<float> values) => values.Clear();
    public override void Write(Tensor to, long first, ReadOnlySpan<float> values) => CheckRange(to, first, values.Length);
    public override void Read(Tensor from, long first, Span<float> values) => values.Clear();
}
