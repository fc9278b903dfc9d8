using System.Diagnostics;
using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>Which way an op ran. A section, and what is no op, has none.</summary>
public enum Direction { None, Forward, Backward }

/// <summary>One op in one direction, or a section. Spans are in the order of their starts, so that a section comes before what it holds.</summary>
/// <param name="Result">Shape of the op's result; null for a section.</param>
/// <param name="Inputs">Shapes of the op's operands.</param>
/// <param name="Parent">Index of the section that holds it; −1 for none.</param>
/// <param name="Start">Stopwatch ticks, like <paramref name="End"/>.</param>
/// <param name="Allocated">Managed bytes that the calling thread allocated.</param>
/// <param name="Faults">Pages that the system had to hand to the process first; 0 where it does not say.</param>
/// <param name="Interruptions">How often the system took a core away from the process; 0 where it does not say.</param>
/// <param name="LiveBytes">Memory of the device in use at the end; 0 for a section.</param>
public readonly record struct ProfileSpan(
    string Name, Direction Direction, Shape? Result, Shape[] Inputs, int Parent, long Start, long End, Cost Cost, long Allocated, long Faults, long Interruptions, long LiveBytes)
{
    /// <summary>The one kernel that it is the time of; empty where ops are timed as a whole.</summary>
    public string Kernel { get; init; } = "";
    /// <summary>Whether it is work of the host while the device did something else.</summary>
    public bool IsBeside { get; init; }

    public double Seconds => (End - Start) / (double)Stopwatch.Frequency;
}

/// <summary>
/// Collects what each op of a <see cref="Tape"/> took, and each named section around ops. Ops run on the calling thread
/// one after the other: the forward time of an op is that since the mark before it, its backward time that of its
/// gradient with the freeing of its result. What the profiler itself needs lies between the spans, in the section around
/// them. Used by one thread, as its device is. Given a device that works beside the host, it tells of kernels instead, by that
/// device's own clock and without a wait before the end of the outermost section.
/// </summary>
public sealed partial class Profiler(Device? device = null)
{
    /// Where the counters stood. At a start the time is read last, at an end first: reading them is nobody's time.
    readonly record struct Reading(long Time, long Allocated, ProcessCounters Process)
    {
        public static Reading AtStart()
        {
            var (process, allocated) = (ProcessCounters.Read(), GC.GetAllocatedBytesForCurrentThread());
            return new(Stopwatch.GetTimestamp(), allocated, process);
        }

        public static Reading AtEnd() => new(Stopwatch.GetTimestamp(), GC.GetAllocatedBytesForCurrentThread(), ProcessCounters.Read());
    }

    /// <summary>Ends its section when it is disposed.</summary>
    public readonly struct Section(Profiler profiler) : IDisposable
    {
        public void Dispose() => profiler.Close();
    }

    readonly KernelClock? clock = device?.KernelClock;
    readonly List<ProfileSpan> spans = [];
    readonly Stack<(int Index, Reading Start)> open = new();
    Reading last = Reading.AtStart();

    public IReadOnlyList<ProfileSpan> Spans => spans;

    /// <summary>What happens until it is disposed; it may hold ops and other sections.</summary>
    public Section Open(string name, Cost cost = default)
    {
        if (clock is not null)
        {
            if (open.Count == 0) clock.Start();
            else TellKernelsOfSection();
        }
        var start = Reading.AtStart();
        spans.Add(new(name, Direction.None, null, [], Parent, start.Time, start.Time, cost, 0, 0, 0, 0));
        open.Push((spans.Count - 1, start));
        last = Reading.AtStart();
        return new(this);
    }

    /// What runs until the next end of an op is that op.
    internal void Begin()
    {
        if (clock is not null) TellKernelsOfSection();
        last = Reading.AtStart();
    }

    internal void End(string name, Direction direction, Tensor result, Shape[] inputs, Cost cost)
    {
        if (clock is not null)
        {
            TellKernels(name, direction, result.Shape, inputs, cost, result.Device.LiveBytes);
            return;
        }
        result.Device.Synchronize();
        Add(Reading.AtEnd(), name, direction, result, inputs, cost);
    }

    /// Ends a forward op and returns the shapes of its operands, for its backward span.
    internal Shape[] EndForward(string name, Tensor result, ReadOnlySpan<Tensor?> inputs, Cost cost)
    {
        if (clock is null) result.Device.Synchronize();
        var end = Reading.AtEnd();
        var shapes = new List<Shape>(inputs.Length);
        foreach (var input in inputs)
            if (input is not null) shapes.Add(input.Shape);
        Shape[] operands = [.. shapes];
        if (clock is not null) TellKernels(name, Direction.Forward, result.Shape, operands, cost, result.Device.LiveBytes);
        else Add(end, name, Direction.Forward, result, operands, cost);
        return operands;
    }

    void Add(Reading end, string name, Direction direction, Tensor result, Shape[] inputs, Cost cost)
    {
        spans.Add(new(name, direction, result.Shape, inputs, Parent, last.Time, end.Time, cost, end.Allocated - last.Allocated,
            end.Process.Faults - last.Process.Faults, end.Process.Interruptions - last.Process.Interruptions, result.Device.LiveBytes));
        last = Reading.AtStart();
    }

    void Close()
    {
        if (clock is not null)
        {
            TellKernelsOfSection(spans[open.Peek().Index].Cost);
            if (open.Count == 1) ReadKernels(open.Peek().Index);
        }
        var end = Reading.AtEnd();
        var (index, start) = open.Pop();
        spans[index] = spans[index] with
        {
            End = end.Time,
            Allocated = end.Allocated - start.Allocated,
            Faults = end.Process.Faults - start.Process.Faults,
            Interruptions = end.Process.Interruptions - start.Process.Interruptions,
        };
        last = Reading.AtStart();
    }

    int Parent => open.TryPeek(out var section) ? section.Index : -1;
}

/// <summary>
/// What the system counts for the whole process, its workers included: minor page faults (first touches of new memory) and
/// involuntary context switches (somebody else wanted the core).
/// </summary>
readonly unsafe partial record struct ProcessCounters(long Faults, long Interruptions)
{
    // struct rusage on 64-bit systems: two times of two longs each, then fourteen counters.
    const int Self = 0, MinorFaults = 8, InvoluntarySwitches = 17, LongsOfRusage = 64;

    static readonly bool isKnown = IsKnown();

    public static ProcessCounters Read()
    {
        if (!isKnown) return default;
        long* usage = stackalloc long[LongsOfRusage];
        return Usage(Self, usage) == 0 ? new(usage[MinorFaults], usage[InvoluntarySwitches]) : default;
    }

    static bool IsKnown()
    {
        if (!(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()) || !Environment.Is64BitProcess) return false;
        long* usage = stackalloc long[LongsOfRusage];
        try { return Usage(Self, usage) == 0; }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException) { return false; }
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int Usage(int who, long* usage);
}
