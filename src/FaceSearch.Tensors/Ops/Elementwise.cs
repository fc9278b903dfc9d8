namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// y = f(x)
    internal abstract void Unary<F>(Tensor x, Tensor y) where F : struct, IUnary;
    /// dx = dy·f'(x)
    internal abstract void UnaryBackward<F>(Tensor x, Tensor dy, Tensor dx) where F : struct, IUnary;
}

public static partial class Ops
{
    /// <summary>max(x, 0), any shape; the derivative at 0 is 0.</summary>
    public static Tensor Relu(this Tensor x) => Unary<Relu>(x);

    /// <summary>σ(x) = 1 / (1 + e⁻ˣ), any shape.</summary>
    public static Tensor Sigmoid(this Tensor x) => Unary<Sigmoid>(x);

    /// <summary>x·σ(x), any shape (Ramachandran, Zoph, Le 2017).</summary>
    public static Tensor Swish(this Tensor x) => Unary<Swish>(x);

    /// Backward keeps x and computes f'(x) anew: cheaper than a second map in memory.
    static Tensor Unary<F>(Tensor x) where F : struct, IUnary
    {
        var y = x.Like();
        x.Device.Unary<F>(x.Settled(), y);
        return y.From(F.Name, Cost.OfPass(F.Flops, x, y), Cost.OfPass(F.Flops + 3, x, y, y), [x], dy =>
        {
            var dx = x.Like();
            x.Device.UnaryBackward<F>(x, dy, dx);
            x.Accumulate(dx);
        });
    }
}

public sealed partial class Meter
{
    internal override void Unary<F>(Tensor x, Tensor y) { }
    internal override void UnaryBackward<F>(Tensor x, Tensor dy, Tensor dx) { }
}
