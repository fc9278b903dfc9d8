namespace FaceSearch.Tensors;

public abstract partial class Device
{
    internal abstract void PRelu(Tensor x, Tensor slope, Tensor y);
    /// dx and dslope are both written.
    internal abstract void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope);
}

public static partial class Ops
{
    /// <summary>
    /// y = x where x > 0, slope·x elsewhere; slope [channels], x a map or a matrix [rows, channels] (He et al. 2015).
    /// Backward: dx = dy or slope·dy; dslope = Σ x·dy over what is not positive.
    /// </summary>
    public static Tensor PRelu(this Tensor x, Tensor slope)
    {
        Check.MapOrMatrix(x);
        Check.Shape(slope, Shape.Of(x.Shape.Channels));
        Check.SameDevice(x, slope);
        var y = x.Like();
        x.Device.PRelu(x.Settled(), slope, y);
        return y.From("prelu", Cost.OfPass(1, x, y, slope), Cost.OfPass(3, x, y, y, slope, slope), [x, slope], dy =>
        {
            Tensor dx = x.Like(), dslope = slope.Like();
            x.Device.PReluBackward(x, slope, dy, dx, dslope);
            x.AccumulateIfNeeded(dx);
            slope.AccumulateIfNeeded(dslope);
        });
    }
}

public sealed partial class Meter
{
    internal override void PRelu(Tensor x, Tensor slope, Tensor y) { }
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope) { }
}
