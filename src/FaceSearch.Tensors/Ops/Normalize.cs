namespace FaceSearch.Tensors;

public abstract partial class Device
{
    internal abstract void Normalize(Tensor x, Tensor y, Tensor norms);
    internal abstract void NormalizeBackward(Tensor y, Tensor norms, Tensor dy, Tensor dx);
}

public static partial class Ops
{
    /// <summary>
    /// Divides each row by its length: y = x / ‖x‖, x and y [rows, cols]. A row of length 0 stays 0 (with gradient 0).
    /// Backward keeps y and ‖x‖, not x: dx = (dy − y⟨y, dy⟩) / ‖x‖.
    /// </summary>
    public static Tensor Normalize(this Tensor x)
    {
        Check.Rank(x, 2);
        Tensor y = x.Like(), norms = x.Like(Shape.Of(x.Shape.Rows));
        x.Device.Normalize(x.Settled(), y, norms);
        return y.From("normalize", Cost.OfPass(3, x, y), Cost.OfPass(5, x, y, y), [x], dy =>
        {
            var dx = x.Like();
            x.Device.NormalizeBackward(y, norms, dy, dx);
            x.Accumulate(dx);
        });
    }
}

public sealed partial class Meter
{
    internal override void Normalize(Tensor x, Tensor y, Tensor norms) { }
    internal override void NormalizeBackward(Tensor y, Tensor norms, Tensor dy, Tensor dx) { }
}
