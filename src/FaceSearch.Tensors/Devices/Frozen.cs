namespace FaceSearch.Tensors;

/// <summary>
/// While it lives no parameter of the device changes, so that what an op makes of weights alone (packed ones, those at Winograd's points) is
/// made once and not for every batch. Recording tapes are refused meanwhile: a training would change parameters.
/// </summary>
public sealed class Frozen : IDisposable
{
    // A network of 60 million 3×3 weights would keep five times their number at Winograd's points: its last layers make theirs each time.
    const long MostBytes = 256L << 20;

    readonly Device device;
    readonly Dictionary<Use, Tensor> kept = [];
    long bytes;

    internal Frozen(Device device) => this.device = device;

    /// What an op uses weights for: with the norm of that γ folded into them or null, for maps of that size and that step, or turned for the gradient of its input.
    internal readonly record struct Use(Tensor Weight, Tensor? Gamma = null, int Height = 0, int Width = 0, int Stride = 1, bool Turned = false);

    /// What was kept for this use, or null; the caller disposes it.
    internal Tensor? Find(Use use) => kept.TryGetValue(use, out var made) ? made.Share() : null;

    /// Keeps what was made if there is room; the caller disposes it as before.
    internal void Keep(Use use, Tensor made)
    {
        if (bytes + made.Memory.Bytes > MostBytes) return;
        bytes += made.Memory.Bytes;
        kept.Add(use, made.Share());
    }

    public void Dispose()
    {
        foreach (var made in kept.Values) made.Dispose();
        kept.Clear();
        if (device.Frozen == this) device.Frozen = null;
    }
}

public abstract partial class Device
{
    /// Null unless parameters are frozen.
    internal Frozen? Frozen { get; set; }

    /// <summary>For inference over several batches: parameters stay as they are until the result is disposed.</summary>
    public Frozen Freeze() => Frozen = Frozen is null ? new(this) : throw new InvalidOperationException("this device's parameters are frozen already");
}
