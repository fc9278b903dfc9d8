namespace FaceSearch.Tensors;

/// <summary>A batch norm as inference has it: γ, β and the running statistics [C], and the slope [C] of the PReLU that follows, if one does.</summary>
public readonly record struct FrozenNorm(Tensor Gamma, Tensor Beta, Tensor Mean, Tensor Variance, Tensor? Slope = null)
{
    internal const float Epsilon = 1e-5f;
}

public abstract partial class Device
{
    /// Whether the device has a kernel for <see cref="Conv2dFused"/> of these that is faster than to defer the norm.
    internal virtual bool FusesConv2d(Tensor weight, Shape y, Sliding sliding, bool activates, bool adds) => false;
    /// y = act(norm(conv2d(x))) + residual. x may be deferred, the residual (of y's shape) not; the norm's source means nothing.
    internal virtual void Conv2dFused(Tensor x, Tensor weight, Tensor y, Sliding sliding, Normalised norm, Tensor? residual) => throw new NotSupportedException();
}

public static partial class Ops
{
    /// <summary>
    /// For inference, on a tape that does not record: y = act(γ·(<see cref="Conv2d"/>(x) − mean) / √(variance + ε) + β) + residual, with the norm's running
    /// statistics; act its PReLU or nothing, residual a map of y's shape or nothing. Where the device's kernel can, it
    /// does so as it stores; else what follows the convolution is deferred, as <see cref="BatchNorm"/> has it.
    /// </summary>
    public static Tensor Conv2dFused(this Tensor x, Tensor weight, int stride, int padding, int groups, FrozenNorm norm, Tensor? residual = null)
    {
        var sliding = new Sliding(stride, padding, groups);
        CheckConv2d(x, weight, sliding);
        Check.That(x.Tape is not { Records: true }, "it has no gradient, but the tape records");
        Shape s = x.Shape, w = weight.Shape, result = Shape.Map(s.Images, w[0], sliding.Outputs(s.Height, w[2]), sliding.Outputs(s.Width, w[3]));
        if (residual is not null) Check.Shape(residual, result);
        if (!x.Device.FusesConv2d(weight, result, sliding, norm.Slope is not null, residual is not null))
        {
            var sums = x.Conv2d(weight, stride, padding, groups);
            var normalised = sums.BatchNorm(norm.Gamma, norm.Beta, norm.Mean, norm.Variance, training: false, norm.Slope, epsilon: FrozenNorm.Epsilon);
            normalised.Outlives(sums);
            if (residual is null) return normalised;
            var sum = normalised.Add(residual);
            sum.Outlives(normalised);
            return sum;
        }
        if (groups > 1) x.Unflattened();
        var y = x.Like(result);
        x.Device.Conv2dFused(x, weight, y, sliding, Norm(y, norm), residual?.Settled());
        return y.From("conv2d + batch_norm", Cost.OfMacs(y.Shape.Count * w.Cols, x, weight, y) + FusedCost(result, norm, residual), default, [x, weight], _ => { });
    }

    static Normalised Norm(Tensor y, FrozenNorm norm) => Norm(y, norm.Gamma, norm.Beta, norm.Mean, norm.Variance, norm.Slope, new(Training: false, 0, FrozenNorm.Epsilon));

    /// What comes on top of the convolution's.
    static Cost FusedCost(Shape y, FrozenNorm norm, Tensor? residual) =>
        new(0, ((norm.Slope is null ? 2 : 4) + (residual is null ? 0 : 1)) * y.Count, residual is null ? 0 : residual.Device.ElementBytes(y) * y.Count);
}
