namespace FaceSearch.Tensors;

public abstract partial class Device
{
    internal abstract void Add(Tensor a, Tensor b, Tensor y);
    internal abstract void Copy(Tensor x, Tensor y);
}

public static partial class Ops
{
    /// <summary>y = a + b, same shape. Backward: both get dy; one of them takes its memory over.</summary>
    public static Tensor Add(this Tensor a, Tensor b)
    {
        Check.Shape(b, a.Shape);
        Check.SameDevice(a, b);
        var y = a.Like();
        a.Device.Add(a, b, y);
        return y.From("add", Cost.OfPass(1, a, b, y), Cost.OfPass(0, y, b), [a, b], dy =>
        {
            if (a.NeedsGradient && b.NeedsGradient)
            {
                var copy = b.Like();
                b.Device.Copy(dy, copy);
                b.Accumulate(copy);
            }
            (a.NeedsGradient ? a : b).Accumulate(y.TakeGradient());
        });
    }
}

public sealed partial class Meter
{
    internal override void Add(Tensor a, Tensor b, Tensor y) { }
    internal override void Copy(Tensor x, Tensor y) { }
}
