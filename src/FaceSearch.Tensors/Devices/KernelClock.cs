using System.Diagnostics;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace FaceSearch.Tensors;

/// <summary>Notes when each kernel of a device runs, from <see cref="Start"/> to <see cref="Stop"/>. Times are ticks of the host's stopwatch.</summary>
abstract class KernelClock(Gpu gpu) : IDisposable
{
    readonly List<string> kernels = [];

    protected Gpu Gpu => gpu;
    /// <summary>Names of the launches so far.</summary>
    public IReadOnlyList<string> Kernels => kernels;

    /// <summary>The device does nothing when this returns.</summary>
    public void Start()
    {
        gpu.Synchronize();
        kernels.Clear();
        gpu.Clock = this;
        Begin();
    }

    /// <summary>Waits, and returns the start and end of each launch.</summary>
    public (long Start, long End)[] Stop()
    {
        gpu.Clock = null;
        gpu.Synchronize();
        return [.. Enumerable.Range(0, kernels.Count).Select(TimesOf)];
    }

    /// <summary>Around each launch.</summary>
    public abstract void Before();
    public void After(string kernel)
    {
        Ended();
        kernels.Add(kernel);
    }

    public virtual void Dispose() { }

    protected abstract void Begin();
    protected abstract void Ended();
    protected abstract (long Start, long End) TimesOf(int launch);

    /// <summary>A kernel's name for people: what it runs over all points or cells stands for itself.</summary>
    public static string NameOf(Type kernel)
    {
        if (!kernel.IsGenericType) return kernel.Name;
        var inner = kernel.GetGenericArguments();
        if (kernel.GetGenericTypeDefinition() == typeof(PointPass<>) || kernel.GetGenericTypeDefinition() == typeof(CellPass<>)) return NameOf(inner[0]);
        return $"{kernel.Name[..kernel.Name.IndexOf('`')]}<{string.Join(' ', inner.Select(NameOf))}>";
    }
}

/// <summary>By an event of the driver on each side of a launch: the GPU's own times, and nobody waits before the end.</summary>
sealed class EventClock(Gpu gpu, CudaStream stream) : KernelClock(gpu)
{
    // Two a launch, kept for the next steps.
    readonly List<CudaEvent> events = [];
    CudaEvent? origin;
    long start;
    int used;

    protected override void Begin()
    {
        stream.Accelerator.Bind();
        used = 0;
        origin ??= new(timed: true);
        start = Stopwatch.GetTimestamp();
        origin.Record(stream);
    }

    public override void Before() => Mark();
    protected override void Ended() => Mark();

    void Mark()
    {
        if (used == events.Count) events.Add(new(timed: true));
        events[used++].Record(stream);
    }

    protected override (long Start, long End) TimesOf(int launch) => (Time(events[2 * launch]), Time(events[2 * launch + 1]));

    long Time(CudaEvent mark) => start + (long)(mark.MillisecondsSince(origin!) * Stopwatch.Frequency / 1000);

    public override void Dispose()
    {
        stream.Accelerator.Bind();
        foreach (var mark in events) mark.Dispose();
        origin?.Dispose();
    }
}

/// <summary>On the simulated GPU: by waiting for each kernel.</summary>
sealed class WaitingClock(Gpu gpu) : KernelClock(gpu)
{
    readonly List<(long Start, long End)> times = [];
    long start;

    protected override void Begin() => times.Clear();
    public override void Before() => start = Stopwatch.GetTimestamp();

    protected override void Ended()
    {
        Gpu.Synchronize();
        times.Add((start, Stopwatch.GetTimestamp()));
    }

    protected override (long Start, long End) TimesOf(int launch) => times[launch];
}
