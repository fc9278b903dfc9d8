namespace FaceSearch.Tensors;

/// How a batch normalisation runs: on the batch's own statistics (which then move the running ones) or on the running ones.
readonly record struct BatchNormMode(bool Training, float Momentum, float Epsilon);

public abstract partial class Device
{
    /// Writes y, the mean and the inverse deviation 1/√(variance + ε) that were used, and in training the running statistics.
    internal abstract void BatchNorm(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse, Tensor y);
    /// Writes dγ, dβ and, unless it is null, dx.
    internal abstract void BatchNormBackward(Tensor x, Tensor gamma, Tensor mean, Tensor inverse, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta);
}

public static partial class Ops
{
    /// <summary>
    /// y = γ·x̂ + β, x̂ = (x − mean) / √(variance + ε) for each channel of a map, or column of a matrix (Ioffe and Szegedy 2015).
    /// Training: mean and biased variance of the batch, and running = (1 − momentum)·running + momentum·batch, there with the
    /// unbiased variance (as PyTorch does). Otherwise the running statistics, which then count as constants.
    /// Backward keeps x: dβ = Σ dy, dγ = Σ dy·x̂, dx = γ/√(variance + ε)·(dy − (dβ + x̂·dγ)/m) over the m elements of a channel.
    /// </summary>
    public static Tensor BatchNorm(this Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, bool training, float momentum = 0.1f, float epsilon = 1e-5f)
    {
        Check.MapOrMatrix(x);
        var perChannel = Shape.Of(x.Shape.Channels);
        foreach (var p in (ReadOnlySpan<Tensor>)[gamma, beta, runningMean, runningVariance])
        {
            Check.Shape(p, perChannel, name: "gamma, beta, runningMean, runningVariance");
            Check.SameDevice(x, p, name: "gamma, beta, runningMean, runningVariance");
        }
        Check.That(!training || x.Shape.Count > x.Shape.Channels, $"training needs more than one value per channel but the shape is {x.Shape}");
        Tensor y = x.Like(), mean = x.Like(perChannel), inverse = x.Like(perChannel);
        x.Device.BatchNorm(x, gamma, beta, runningMean, runningVariance, new(training, momentum, epsilon), mean, inverse, y);
        var forward = training ? Cost.OfPass(6, x, x, y) : Cost.OfPass(2, x, y);
        return y.From("batch_norm", forward, Cost.OfPass(10, x, x, y, y, x), [x, gamma, beta], dy =>
        {
            var dx = x.NeedsGradient ? x.Like() : null;
            Tensor dgamma = gamma.Like(), dbeta = beta.Like();
            x.Device.BatchNormBackward(x, gamma, mean, inverse, training, dy, dx, dgamma, dbeta);
            if (dx is not null) x.Accumulate(dx);
            gamma.AccumulateIfNeeded(dgamma);
            beta.AccumulateIfNeeded(dbeta);
        });
    }
}

public sealed partial class Meter
{
    internal override void BatchNorm(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse, Tensor y) { }
    internal override void BatchNormBackward(Tensor x, Tensor gamma, Tensor mean, Tensor inverse, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta) { }
}
