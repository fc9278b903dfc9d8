namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// y = a·b, element by element.
    internal abstract void Multiply(Tensor a, Tensor b, Tensor y);
    /// y = a·s, one factor s [images, channels, 1, 1] for each plane of the map a.
    internal abstract void MultiplyPlanes(Tensor a, Tensor s, Tensor y);
    /// s = Σ a·b over each plane.
    internal abstract void SumOfProducts(Tensor a, Tensor b, Tensor s);
}

public static partial class Ops
{
    /// <summary>
    /// y = a·b element by element: same shape, or b a map [images, channels, 1, 1] that scales the planes of the map a
    /// (squeeze and excite, Hu et al. 2018). Backward: da = dy·b, db = dy·a, summed over the plane where b was one factor.
    /// </summary>
    public static Tensor Multiply(this Tensor a, Tensor b)
    {
        bool planes = !a.Shape.Equals(b.Shape) && a.Shape.IsMap;
        Check.Shape(b, planes ? Shape.Map(a.Shape.Images, a.Shape.Channels, 1, 1) : a.Shape);
        Check.SameDevice(a, b);
        var (device, y) = (a.Device, a.Like());
        if (planes) device.MultiplyPlanes(a.Settled(), b.Settled(), y);
        else device.Multiply(a.Settled(), b.Settled(), y);
        return y.From("multiply", Cost.OfPass(1, a, b, y), Cost.OfPass(3, a, b, y, a, b), [a, b], dy =>
        {
            if (a.NeedsGradient)
            {
                var da = a.Like();
                if (planes) device.MultiplyPlanes(dy, b, da);
                else device.Multiply(dy, b, da);
                a.Accumulate(da);
            }
            if (b.NeedsGradient)
            {
                var db = b.Like();
                if (planes) device.SumOfProducts(dy, a, db);
                else device.Multiply(dy, a, db);
                b.Accumulate(db);
            }
        });
    }
}

public sealed partial class Meter
{
    internal override void Multiply(Tensor a, Tensor b, Tensor y) { }
    internal override void MultiplyPlanes(Tensor a, Tensor s, Tensor y) { }
    internal override void SumOfProducts(Tensor a, Tensor b, Tensor s) { }
}
