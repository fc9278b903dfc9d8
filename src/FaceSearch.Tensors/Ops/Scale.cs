namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// <summary>x ← factor·x in place.</summary>
    public abstract void Scale(Tensor x, float factor);

    /// <summary>Σ x² over all elements, summed in an order that does not depend on the threads; not finite if an element is not. For gradient clipping and the NaN guard.</summary>
    public abstract double SumOfSquares(Tensor x);

    /// <summary><see cref="SumOfSquares"/> of each; a device that works beside the host is waited for once, not once each.</summary>
    public virtual double[] SumsOfSquares(IReadOnlyList<Tensor> tensors) => [.. tensors.Select(SumOfSquares)];
}

public sealed partial class Meter
{
    public override void Scale(Tensor x, float factor) { }
    public override double SumOfSquares(Tensor x) => 0;
}
