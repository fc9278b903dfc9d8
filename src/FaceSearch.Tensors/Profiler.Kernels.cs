namespace FaceSearch.Tensors;

/// <summary>
/// Of a device that has a clock of its own, the spans are its kernels: each of an op, whose work they share in proportion to their
/// times, or of the section that launched it. Sections begin and end with their kernels, the outermost when the device has
/// been waited for; a section without kernels is the host's own work beside them.
/// </summary>
public sealed partial class Profiler
{
    // The spans of launches whose times are not known yet, op by op.
    readonly List<(int First, int Count, Cost Cost)> told = [];
    int toldLaunches;

    /// The launches since the last ones that were told of.
    void TellKernels(string name, Direction direction, Shape? result, Shape[] inputs, Cost cost, long liveBytes)
    {
        var end = Reading.AtEnd();
        int count = clock!.Kernels.Count - toldLaunches;
        if (count > 0) told.Add((spans.Count, count, cost));
        for (int i = 0; i < count; i++)
        {
            var span = new ProfileSpan(name, direction, result, inputs, Parent, 0, 0, default, 0, 0, 0, liveBytes) { Kernel = clock.Kernels[toldLaunches++] };
            // What the host did for all of them is the first one's.
            if (i == 0) span = span with { Allocated = end.Allocated - last.Allocated, Faults = end.Process.Faults - last.Process.Faults, Interruptions = end.Process.Interruptions - last.Process.Interruptions };
            spans.Add(span);
        }
        last = Reading.AtStart();
    }

    /// Launches that no op stands for are the innermost section's.
    void TellKernelsOfSection(Cost cost = default)
    {
        if (!open.TryPeek(out var section)) return;
        var name = spans[section.Index].Name;
        TellKernels(open.Count > 1 ? name : $"({name})", Direction.None, null, [], cost, 0);
    }

    /// Waits for the outermost section's kernels and puts their times in.
    void ReadKernels(int outermost)
    {
        var times = clock!.Stop();
        // The two clocks agree to some microseconds.
        long late = times.Length == 0 ? 0 : Math.Max(0, spans[outermost].Start - times[0].Start);
        int launch = 0;
        foreach (var (first, count, cost) in told)
        {
            double ticks = times.AsSpan(launch, count).ToArray().Sum(t => (double)(t.End - t.Start));
            for (int i = first; i < first + count; i++, launch++)
            {
                var (start, end) = times[launch];
                spans[i] = spans[i] with { Start = start + late, End = end + late, Cost = cost.Share(ticks > 0 ? (end - start) / ticks : 1.0 / count) };
            }
        }
        told.Clear();
        toldLaunches = 0;
        FitSections(outermost);
    }

    void FitSections(int outermost)
    {
        var held = new Dictionary<int, (long Start, long End)>();
        // What a section holds comes after it.
        for (int i = spans.Count - 1; i > outermost; i--)
        {
            if (spans[i].Kernel.Length == 0)
            {
                if (!held.TryGetValue(i, out var own))
                {
                    spans[i] = spans[i] with { IsBeside = true };
                    continue;
                }
                spans[i] = spans[i] with { Start = own.Start, End = own.End };
            }
            var (parent, start, end) = (spans[i].Parent, spans[i].Start, spans[i].End);
            held[parent] = held.TryGetValue(parent, out var all) ? (Math.Min(all.Start, start), Math.Max(all.End, end)) : (start, end);
        }
    }
}
