namespace FaceSearch.Tensors;

/// Which elements a dropout keeps: a pure function of the seed, the step and the element's row-major number.
readonly record struct DropoutMask(float Rate, ulong Seed, ulong Step, StepExchange? Exchange = null)
{
    public float Scale => 1 / (1 - Rate);
    public bool Keeps(long element) => Noise.Uniform(Seed, Step, (ulong)element) >= Rate;
}

public abstract partial class Device
{
    internal abstract void Dropout(Tensor x, DropoutMask mask, Tensor y);
}

public static partial class Ops
{
    /// <summary>
    /// Sets each element to 0 with probability <paramref name="rate"/> and divides the others by 1 − rate (Srivastava et al.
    /// 2014). Any shape. Without a recording tape, or with rate 0, it is the identity. Backward: the same on dy.
    /// The step is the exchange's where there is one.
    /// </summary>
    public static Tensor Dropout(this Tensor x, float rate, ulong seed, ulong step, StepExchange? exchange = null)
    {
        Check.That(rate is >= 0 and < 1, $"rate must be from 0 to below 1 but is {rate}");
        if (rate == 0 || x.Tape is not { Records: true }) return x;
        var (mask, y) = (new DropoutMask(rate, seed, step, exchange), x.Like());
        x.Device.Dropout(x.Settled(), mask, y);
        return y.From("dropout", Cost.OfPass(1, x, y), Cost.OfPass(1, x, y), [x], dy =>
        {
            var dx = x.Like();
            x.Device.Dropout(dy, mask, dx);
            x.Accumulate(dx);
        });
    }
}

public sealed partial class Meter
{
    internal override void Dropout(Tensor x, DropoutMask mask, Tensor y) { }
}
