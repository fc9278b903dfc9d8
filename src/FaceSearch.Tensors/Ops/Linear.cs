namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// Adds the vector to every row of y.
    internal abstract void AddToRows(Tensor y, Tensor vector);
    /// The sum of the rows of x.
    internal abstract void SumRows(Tensor x, Tensor vector);
}

public static partial class Ops
{
    /// <summary>
    /// y = x·Wᵀ + bias; x [rows, in], weight [out, in], bias [out], y [rows, out].
    /// Backward: dx = dy·W, dW = dyᵀ·x, dbias = the sum of the rows of dy.
    /// </summary>
    public static Tensor Linear(this Tensor x, Tensor weight, Tensor? bias = null)
    {
        Check.Rank(x, 2);
        Check.Rank(weight, 2);
        Check.That(x.Shape.Cols == weight.Shape.Cols, $"x has {x.Shape.Cols} columns but weight {weight.Shape} takes {weight.Shape.Cols}");
        Check.SameDevice(x, weight);
        var (device, y) = (x.Device, x.Like(Shape.Of(x.Shape.Rows, weight.Shape.Rows)));
        device.MatMul(x.Settled(), false, weight, true, y);
        if (bias is not null)
        {
            Check.Shape(bias, Shape.Of(weight.Shape.Rows));
            Check.SameDevice(x, bias);
            device.AddToRows(y, bias);
        }
        long macs = x.Shape.Count * weight.Shape.Rows;
        var backward = (x.NeedsGradient ? Cost.OfMacs(macs, y, weight, x) : default) + (weight.NeedsGradient ? Cost.OfMacs(macs, y, x, weight) : default);
        return y.From("linear", Cost.OfMacs(macs, x, weight, y), backward, [x, weight, bias], dy =>
        {
            if (x.NeedsGradient) x.Accumulate(Product(dy, false, weight, x));
            if (weight.NeedsGradient) weight.Accumulate(Product(dy, true, x, weight));
            if (bias is not { NeedsGradient: true }) return;
            var dbias = bias.Like();
            device.SumRows(dy, dbias);
            bias.Accumulate(dbias);
        });
    }

    static Tensor Product(Tensor a, bool transposeA, Tensor b, Tensor like)
    {
        var c = like.Like();
        a.Device.MatMul(a, transposeA, b, false, c);
        return c;
    }
}

public sealed partial class Meter
{
    internal override void AddToRows(Tensor y, Tensor vector) { }
    internal override void SumRows(Tensor x, Tensor vector) { }
}
