namespace FaceSearch.Tensors;

/// <summary>
/// A map that is not in memory but can be had from one that is: act(γ·(x − mean)·inverse + β), channel by channel, where
/// act multiplies what is negative by the slope (none: it does nothing). Convolutions and sums apply it to what they load,
/// so that a convolution, its batch norm and its PReLU store one map, not three; every other op settles it first.
/// </summary>
/// <param name="Source">x: map [N, C, H, W], in memory</param>
/// <param name="Slope">[C] or null; the other vectors are [C] as well</param>
sealed record Normalised(Tensor Source, Tensor Mean, Tensor Inverse, Tensor Gamma, Tensor Beta, Tensor? Slope);

public static partial class Ops
{
    /// The result of an op that leaves it to its readers. A matrix, or what no tape owns, is computed now; mean and inverse are the op's own.
    static Tensor Defer(Normalised y)
    {
        var x = y.Source;
        if (x.Tape is not null) return x.Shape.IsMap ? x.Tape.Defer(y) : x.Tape.Defer(y).Settled();
        var values = new Tensor(x.Device, x.Shape, null, y).Settled();
        y.Mean.Dispose();
        y.Inverse.Dispose();
        return values;
    }
}

public abstract partial class Device
{
    /// Writes the values of a normalised map, or of a normalised matrix [rows, C].
    internal abstract void Normalise(Normalised x, Tensor y);
}

public sealed partial class Meter
{
    internal override void Normalise(Normalised x, Tensor y) { }
}

public sealed partial class Reference
{
    internal override void Normalise(Normalised x, Tensor y) => ForChannels(y.Shape, (c, i) =>
    {
        double v = Of(x.Gamma)[c] * (Of(x.Source)[i] - Of(x.Mean)[c]) * Of(x.Inverse)[c] + Of(x.Beta)[c];
        Of(y)[i] = v > 0 || x.Slope is null ? v : Of(x.Slope)[c] * v;
    });

    /// Runs an op on the tensor itself, or on a copy of its values where it is not in memory.
    static void Settled(Tensor x, Action<Tensor> op)
    {
        if (x.Deferred is not { } deferred)
        {
            op(x);
            return;
        }
        using var values = x.Device.New(x.Shape);
        x.Device.Normalise(deferred, values);
        op(values);
    }
}
