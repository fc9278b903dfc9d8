namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// dx, which may be dy's own memory, and dslope are both written.
    internal abstract void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope);
}

public static partial class Ops
{
    /// <summary>
    /// y = x where x > 0, slope·x elsewhere; slope [channels], x a map or a matrix [rows, channels] (He et al. 2015). A map is not computed
    /// here but by the op that loads it, as a norm is that does nothing (<see cref="Normalised"/>).
    /// Backward: dx = dy or slope·dy; dslope = Σ x·dy over what is not positive.
    /// </summary>
    public static Tensor PRelu(this Tensor x, Tensor slope)
    {
        Check.MapOrMatrix(x);
        Check.Shape(slope, Shape.Of(x.Shape.Channels));
        Check.SameDevice(x, slope);
        Tensor zero = x.Like(slope.Shape), one = x.Like(slope.Shape);
        x.Device.Fill(zero, 0);
        x.Device.Fill(one, 1);
        var y = Defer(new(x.Settled(), zero, one, one, zero, slope));
        return y.From("prelu", new(0, x.Shape.Count, 0), Cost.OfPass(3, x, y, y, slope, slope), [x, slope], dy =>
        {
            dy = y.TakeGradient();
            Tensor dx = dy.IsShared ? x.Like() : dy, dslope = slope.Like();
            x.Device.PReluBackward(x, slope, dy, dx, dslope);
            dy.DropNormSums();
            if (dx != dy) dy.Dispose();
            x.AccumulateIfNeeded(dx);
            slope.AccumulateIfNeeded(dslope);
        });
    }
}

public sealed partial class Meter
{
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope) { }
}
