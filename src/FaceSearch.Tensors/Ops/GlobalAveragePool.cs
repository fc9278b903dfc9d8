namespace FaceSearch.Tensors;

public abstract partial class Device
{
    internal abstract void GlobalAveragePool(Tensor x, Tensor y);
    internal abstract void GlobalAveragePoolBackward(Tensor dy, Tensor dx);
}

public static partial class Ops
{
    /// <summary>The mean of each plane: map [images, channels, height, width] → map [images, channels, 1, 1]. Backward: dx = dy / (height·width).</summary>
    public static Tensor GlobalAveragePool(this Tensor x)
    {
        Check.Map(x);
        var y = x.Like(Shape.Map(x.Shape.Images, x.Shape.Channels, 1, 1));
        x.Device.GlobalAveragePool(x.Settled(), y);
        return y.From("global_average_pool", Cost.OfPass(1, x, y), Cost.OfPass(1, x, y), [x], dy =>
        {
            var dx = x.Like();
            x.Device.GlobalAveragePoolBackward(dy, dx);
            x.Accumulate(dx);
        });
    }
}

public sealed partial class Meter
{
    internal override void GlobalAveragePool(Tensor x, Tensor y) { }
    internal override void GlobalAveragePoolBackward(Tensor dy, Tensor dx) { }
}
