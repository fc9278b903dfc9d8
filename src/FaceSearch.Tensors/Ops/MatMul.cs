namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// c = a·b for matrices; a transposed operand lies in memory as its transpose. Not taped: what Linear is made of.
    internal abstract void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c);
}

public sealed partial class Meter
{
    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c) { }
}
