namespace FaceSearch.Tensors;

public abstract partial class Device
{
    internal abstract void Flatten(Tensor map, Tensor matrix);
    internal abstract void Unflatten(Tensor matrix, Tensor map);
}

public static partial class Ops
{
    /// <summary>Map [images, channels, height, width] → matrix [images, channels·height·width], each row in that order.</summary>
    public static Tensor Flatten(this Tensor x)
    {
        Check.Map(x);
        var y = x.Like(Shape.Of(x.Shape.Rows, x.Shape.Cols));
        x.Device.Flatten(x.Settled(), y);
        return y.From("flatten", Cost.OfPass(0, x, y), Cost.OfPass(0, x, y), [x], dy =>
        {
            var dx = x.Like();
            x.Device.Unflatten(dy, dx);
            x.Accumulate(dx);
        });
    }
}

public sealed partial class Meter
{
    internal override void Flatten(Tensor map, Tensor matrix) { }
    internal override void Unflatten(Tensor matrix, Tensor map) { }
}
