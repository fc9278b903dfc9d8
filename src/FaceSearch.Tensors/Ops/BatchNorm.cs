namespace FaceSearch.Tensors;

/// How a batch normalisation runs: on the batch's own statistics (which then move the running ones) or on the running ones.
readonly record struct BatchNormMode(bool Training, float Momentum, float Epsilon);

/// <summary>
/// What is left of a batch norm's backward pass when its sums are known: dx of <see cref="Ops.BatchNorm"/> from dy, element by element. Convolutions
/// do it to the part of the map that they are about to read, in the cache, where a pass of its own would read and write the map once more.
/// </summary>
/// <param name="Dgamma">[C], as Dbeta, this record's own</param>
sealed record UnfinishedNorm(Normalised Y, bool Training, Tensor Dgamma, Tensor Dbeta) : IDisposable
{
    public void Dispose()
    {
        Dgamma.Dispose();
        Dbeta.Dispose();
    }
}

public abstract partial class Device
{
    /// Writes the mean and the inverse deviation 1/√(variance + ε) to be used, and in training the running statistics.
    /// Moments [2, C] are the mean and the biased variance of x where somebody has them already.
    internal abstract void BatchStatistics(Tensor x, Tensor? moments, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse);
    /// Writes dγ, dβ, the slope's gradient if there is a slope and, unless it is null, dx, which may be dy's own memory. dy may bring its NormSums.
    internal abstract void BatchNormBackward(Normalised y, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta, Tensor? dslope);
    /// The dx that <see cref="BatchNormBackward"/> was not asked for, maybe in dy's own memory; on devices whose convolutions have <see cref="FinishesNorms"/>.
    internal virtual void FinishNorm(UnfinishedNorm rest, Tensor dy, Tensor dx) => throw new NotSupportedException();
}

public static partial class Ops
{
    /// <summary>
    /// y = act(γ·x̂ + β), x̂ = (x − mean) / √(variance + ε) for each channel of a map, or column of a matrix (Ioffe and
    /// Szegedy 2015), act a PReLU with that slope [C] (He et al. 2015) or nothing.
    /// Training: mean and biased variance of the batch, and running = (1 − momentum)·running + momentum·batch, there with the
    /// unbiased variance (as PyTorch does). Otherwise the running statistics, which then count as constants.
    /// A map is not computed here but by the op that loads it (<see cref="Normalised"/>).
    /// Backward keeps x and computes y's sign anew: with h = dy·act', dβ = Σ h, dγ = Σ h·x̂,
    /// dx = γ/√(variance + ε)·(h − (dβ + x̂·dγ)/m) over the m elements of a channel, dslope = Σ dy·(γ·x̂ + β) over what is not positive.
    /// </summary>
    public static Tensor BatchNorm(this Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, bool training, Tensor? slope = null, float momentum = 0.1f, float epsilon = 1e-5f)
    {
        Check.MapOrMatrix(x);
        Check.That(!training || x.Shape.Count > x.Shape.Channels, $"training needs more than one value per channel but the shape is {x.Shape}");
        var device = x.Device;
        var normalised = Norm(x.Settled(), gamma, beta, runningMean, runningVariance, slope, new(training, momentum, epsilon));
        var y = Defer(normalised);
        int flops = slope is null ? 0 : 2;
        var forward = new Cost(0, (flops + (training ? 6 : 2)) * x.Shape.Count, training && x.Moments is null ? device.ElementBytes(x.Shape) * x.Shape.Count : 0);
        // Where the convolution finishes it, x is read for that, and dy for its own sake.
        var backward = x.FinishesGradient ? Cost.OfPass(5 + flops, x, y) : Cost.OfPass(10 + 2 * flops, x, x, y, y, x);
        if (x.FinishesGradient) x.Tape!.SpendBackward(x, Cost.OfPass(5 + flops, x));
        return y.From(slope is null ? "batch_norm" : "batch_norm + prelu", forward, backward, [x, gamma, beta, slope], dy =>
        {
            dy = y.TakeGradient();
            bool leaves = x is { FinishesGradient: true, NeedsGradient: true, Gradient: null };
            var dx = !x.NeedsGradient || leaves ? null : dy.IsShared ? x.Like() : dy;
            Tensor dgamma = gamma.Like(), dbeta = beta.Like();
            var dslope = slope?.Like();
            device.BatchNormBackward(normalised, training, dy, dx, dgamma, dbeta, dslope);
            dy.DropNormSums();
            if (leaves)
            {
                dy.Unfinished = new(normalised, training, dgamma.Share(), dbeta.Share());
                x.Accumulate(dy);
            }
            else if (dx != dy) dy.Dispose();
            if (dx is not null) x.Accumulate(dx);
            gamma.AccumulateIfNeeded(dgamma);
            beta.AccumulateIfNeeded(dbeta);
            if (dslope is not null) slope!.AccumulateIfNeeded(dslope);
        });
    }

    static Normalised Norm(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, Tensor? slope, BatchNormMode mode)
    {
        var perChannel = Shape.Of(x.Shape.Channels);
        foreach (var p in (ReadOnlySpan<Tensor>)[gamma, beta, runningMean, runningVariance, slope ?? gamma])
        {
            Check.Shape(p, perChannel, nameof(BatchNorm), "gamma, beta, runningMean, runningVariance, slope");
            Check.SameDevice(x, p, nameof(BatchNorm), "gamma, beta, runningMean, runningVariance, slope");
        }
        Tensor mean = x.Like(perChannel), inverse = x.Like(perChannel);
        x.Device.BatchStatistics(x, x.Moments, runningMean, runningVariance, mode, mean, inverse);
        return new(x, mean, inverse, gamma, beta, slope);
    }
}

public sealed partial class Meter
{
    internal override void BatchStatistics(Tensor x, Tensor? moments, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse) { }
    internal override void BatchNormBackward(Normalised y, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta, Tensor? dslope) { }
}
