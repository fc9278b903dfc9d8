namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// Maps may be deferred.
    internal abstract void Add(Tensor a, Tensor b, Tensor y);
    internal abstract void Copy(Tensor x, Tensor y);
}

public static partial class Ops
{
    /// <summary>y = a + b, same shape. Backward: both get dy, in the same memory.</summary>
    public static Tensor Add(this Tensor a, Tensor b)
    {
        Check.Shape(b, a.Shape);
        Check.SameDevice(a, b);
        var y = a.Like();
        a.Device.Add(a.Unflattened(), b.Unflattened(), y);
        return y.From("add", Cost.OfPass(1, a, b, y), default, [a, b], _ =>
        {
            var dy = y.TakeGradient();
            if (a.NeedsGradient && b.NeedsGradient) b.Accumulate(dy.Share());
            (a.NeedsGradient ? a : b).Accumulate(dy);
        });
    }
}

public sealed partial class Meter
{
    internal override void Add(Tensor a, Tensor b, Tensor y) { }
    internal override void Copy(Tensor x, Tensor y) { }
}
