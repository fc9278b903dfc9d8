namespace FaceSearch.Tensors;

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
    /// For inference, on a tape that does not record: y = act(γ·(<see cref="Conv2d"/>(x) − mean) / √(variance + ε) + β) + residual, with the running
    /// statistics; act a PReLU with that slope [K] or nothing, residual a map of y's shape or nothing. Where the device's kernel can, it
    /// does so as it stores; else what follows the convolution is deferred, as <see cref="BatchNorm"/> has it.
    /// </summary>
    public static Tensor Conv2dFused(this Tensor x, Tensor weight, int stride, int padding, int groups, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance,
        Tensor? slope = null, Tensor? residual = null, float epsilon = 1e-5f)
    {
        var sliding = new Sliding(stride, padding, groups);
        CheckConv2d(x, weight, sliding);
        Check.That(x.Tape is not { Records: true }, "it has no gradient, but the tape records");
        Shape s = x.Shape, w = weight.Shape, result = Shape.Map(s.Images, w[0], sliding.Outputs(s.Height, w[2]), sliding.Outputs(s.Width, w[3]));
        if (residual is not null) Check.Shape(residual, result);
        if (!x.Device.FusesConv2d(weight, result, sliding, slope is not null, residual is not null))
        {
            var sums = x.Conv2d(weight, stride, padding, groups);
            var normalised = sums.BatchNorm(gamma, beta, runningMean, runningVariance, training: false, slope, epsilon: epsilon);
            normalised.Outlives(sums);
            if (residual is null) return normalised;
            var sum = normalised.Add(residual);
            sum.Outlives(normalised);
            return sum;
        }
        var y = x.Like(result);
        x.Device.Conv2dFused(x, weight, y, sliding, Norm(y, gamma, beta, runningMean, runningVariance, slope, new(Training: false, 0, epsilon)), residual?.Settled());
        int flops = (slope is null ? 2 : 4) + (residual is null ? 0 : 1);
        var cost = Cost.OfMacs(y.Shape.Count * w.Cols, x, weight, y) + new Cost(0, flops * y.Shape.Count, residual is null ? 0 : x.Device.ElementBytes(result) * y.Shape.Count);
        return y.From("conv2d + batch_norm", cost, default, [x, weight], _ => { });
    }
}
