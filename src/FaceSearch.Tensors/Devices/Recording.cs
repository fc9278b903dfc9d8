namespace FaceSearch.Tensors;

/// <summary>
/// What a device remembers of a step that it is told again and again (<see cref="Device.Repeat"/>). Whoever repeats the step
/// keeps it, and disposes it before the device.
/// </summary>
public sealed class Recording : IDisposable
{
    internal GpuReplay? Replay { get; private set; }
    /// Steps that were told in full since the memory they take last changed.
    internal int Told { get; set; }
    /// What must be so for the recorded step to be the step that is meant.
    internal List<Func<StepNumbers, bool>> Conditions { get; } = [];
    /// When the step was recorded, by the device's rents of memory.
    internal long Since { get; private set; }
    /// Failures in a row. It is tried again, as a kernel may have made something for itself that it will find the next time.
    internal int Tries { get; set; }

    /// <summary>Why the step cannot be recorded, in words; null where it can, or nobody has tried.</summary>
    public string? WhyNot { get; internal set; }
    internal bool IsReady => Replay is not null;

    internal void Keep(GpuReplay replay, long since) => (Replay, Since, Tries) = (replay, since, 0);

    internal void Forget()
    {
        Replay?.Dispose();
        (Replay, Told) = (null, 0);
        Conditions.Clear();
    }

    public void Dispose() => Forget();
}

public abstract partial class Device
{
    /// <summary>
    /// Does a step whose ops are the same each time, on what the exchange brought. Ops run as they are called, but a GPU does so only
    /// at first; then it records what they ask of it, and repeats that without calling the step. So the step may leave nothing in new
    /// memory and look at no value; where it does, or asks for what cannot be recorded, it is called each time (in the first steps, where that is found out, twice).
    /// </summary>
    public virtual void Repeat(Recording recording, StepExchange exchange, Action step) => step();
}
