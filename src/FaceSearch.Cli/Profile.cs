using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>What the machine could do at best: multiply-adds without memory, and copying memory far larger than the caches.</summary>
/// <param name="Peak">GF/s of all threads.</param>
/// <param name="Bandwidth">GB/s read and written.</param>
sealed record Roof(double Peak, double Bandwidth)
{
    /// <summary>Flops for each byte from which on arithmetic is the limit.</summary>
    public double Ridge => Peak / Bandwidth;

    /// <summary>GF/s that work of this intensity can reach.</summary>
    public double At(double intensity) => Math.Min(Peak, intensity * Bandwidth);

    public double Milliseconds(Cost cost) => Math.Max(ComputeMilliseconds(cost), MemoryMilliseconds(cost));

    /// <summary>compute, memory, or nothing where no work is counted.</summary>
    public string Bound(Cost cost) =>
        cost is { Flops: 0, Bytes: 0 } ? "" : ComputeMilliseconds(cost) > MemoryMilliseconds(cost) ? "compute" : "memory";

    double ComputeMilliseconds(Cost cost) => cost.Flops / Peak * 1e-6;
    double MemoryMilliseconds(Cost cost) => cost.Bytes / Bandwidth * 1e-6;
}

/// <summary>All spans of one op on one shape in one direction, in a step. Times are of the row's whole in a step.</summary>
/// <param name="Milliseconds">What the row is judged by: the median over the steps, or the least.</param>
/// <param name="Work">Cost of the row in a step.</param>
/// <param name="Allocated">Managed bytes in a step, mean.</param>
/// <param name="Faults">Page faults in a step, mean.</param>
sealed record ProfileRow(
    string Op, string Shape, Direction Direction, double Calls, double Milliseconds, double Least, double Mean, Cost Work, double Allocated, double Faults)
{
    /// <summary>Of the sum of all rows and the gaps.</summary>
    public double Share { get; init; }
    /// <summary>Of an op on a GPU: the row is one of its kernels, the work its share of the op's by time. Empty elsewhere.</summary>
    public string Kernel { get; init; } = "";
    /// <summary>GF/s and GB/s by the cost model.</summary>
    public double FlopRate => Milliseconds > 0 ? Work.Flops / Milliseconds * 1e-6 : 0;
    public double ByteRate => Milliseconds > 0 ? Work.Bytes / Milliseconds * 1e-6 : 0;
    public double Intensity => Work.Bytes == 0 ? 0 : (double)Work.Flops / Work.Bytes;
    public string Name => string.Join(' ', new[] { Op, Way, Shape, Kernel }.Where(word => word.Length > 0));
    public string Way => Direction == Direction.None ? "" : Direction.ToString().ToLowerInvariant();

    public double OfRoof(Roof roof) => Milliseconds > 0 ? roof.Milliseconds(Work) / Milliseconds : 0;
}

/// <summary>What several equal steps took, op by op: every span that holds no other is in one row, the rest of a step is a gap.</summary>
/// <param name="Steps">Milliseconds of each step.</param>
/// <param name="Interruptions">How often in a step the system took a core away, mean.</param>
sealed record Profile(IReadOnlyList<ProfileRow> Rows, IReadOnlyList<double> Steps, double Interruptions, ProfileRow Gap, Roof Roof)
{
    /// <summary>The section that each step is wrapped in.</summary>
    public const string Step = "step";

    /// <summary>What the host did while a GPU was at work, mean milliseconds in a step.</summary>
    public IReadOnlyList<(string Name, double Milliseconds)> Beside { get; init; } = [];
    /// <summary>Median milliseconds of a step.</summary>
    public double Milliseconds => Median(Steps);
    /// <summary>Milliseconds of all rows and the gaps, each by itself: less than a step's where others interrupt it.</summary>
    public double Sum => Gap.Milliseconds + Rows.Sum(r => r.Milliseconds);
    public Cost Work => Rows.Aggregate(default(Cost), (sum, row) => sum + row.Work);

    /// <summary>Rows by falling time: medians over the steps, or with <paramref name="least"/> the least times, for a busy machine.</summary>
    public static Profile Of(IReadOnlyList<ProfileSpan> spans, Roof roof, bool least = false)
    {
        var (steps, stepOf) = StepsOf(spans);
        var holders = spans.Select(s => s.Parent).ToHashSet();
        var leaves = Enumerable.Range(0, spans.Count).Where(i => stepOf[i] >= 0 && !holders.Contains(i) && !spans[i].IsBeside).ToArray();
        var rows = leaves.GroupBy(i => (Name: OpText.Name(spans[i]), Shape: OpText.Shapes(spans[i]), spans[i].Direction, spans[i].Kernel))
            .Select(g => Row(g.Key.Name, g.Key.Shape, g.Key.Direction, [.. g.Select(i => (stepOf[i], spans[i]))], steps.Length, least) with { Kernel = g.Key.Kernel }).ToArray();
        var beside = spans.Where(s => s.IsBeside).GroupBy(s => s.Name).Select(g => (g.Key, 1000 * g.Sum(s => s.Seconds) / steps.Length)).ToArray();

        var gap = GapOf(steps, [.. leaves.Select(i => (stepOf[i], spans[i].Seconds))], rows, least);
        var unordered = new Profile(rows, [.. steps.Select(s => s.Seconds * 1000)], steps.Average(s => s.Interruptions), gap, roof) { Beside = beside };
        double sum = unordered.Sum;
        return unordered with
        {
            Rows = [.. rows.Select(r => r with { Share = r.Milliseconds / sum }).OrderByDescending(r => r.Milliseconds)],
            Gap = gap with { Share = gap.Milliseconds / sum },
        };
    }

    /// What of the steps lies in no row.
    static ProfileRow GapOf(ProfileSpan[] steps, (int Step, double Seconds)[] covered, ProfileRow[] rows, bool least)
    {
        var gaps = steps.Select(s => s.Seconds * 1000).ToArray();
        foreach (var (step, seconds) in covered) gaps[step] -= seconds * 1000;
        return new("(between ops)", "", Direction.None, 1, least ? gaps.Min() : Median(gaps), gaps.Min(), gaps.Average(), default,
            steps.Average(s => s.Allocated) - rows.Sum(r => r.Allocated), steps.Average(s => s.Faults) - rows.Sum(r => r.Faults));
    }

    /// The steps, and for each span the number of the step that it is in; −1 outside.
    static (ProfileSpan[] Steps, int[] StepOf) StepsOf(IReadOnlyList<ProfileSpan> spans)
    {
        var steps = new List<ProfileSpan>();
        var stepOf = new int[spans.Count];
        for (int i = 0; i < stepOf.Length; i++)
        {
            stepOf[i] = spans[i].Parent < 0 ? -1 : stepOf[spans[i].Parent];
            if (spans[i] is not { Name: Step, Parent: < 0 }) continue;
            stepOf[i] = steps.Count;
            steps.Add(spans[i]);
        }
        return ([.. steps], stepOf);
    }

    static ProfileRow Row(string op, string shape, Direction direction, (int Step, ProfileSpan Span)[] spans, int steps, bool least)
    {
        var times = new double[steps];
        foreach (var (step, span) in spans) times[step] += span.Seconds * 1000;
        var work = spans.Aggregate(default(Cost), (sum, s) => sum + s.Span.Cost);
        return new(op, shape, direction, spans.Length / (double)steps, least ? times.Min() : Median(times), times.Min(), times.Average(),
            new(work.Macs / steps, work.Flops / steps, work.Bytes / steps), spans.Average(s => s.Span.Allocated) * spans.Length / steps,
            spans.Sum(s => s.Span.Faults) / (double)steps);
    }

    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}

/// <summary>An op's name and shapes in as few characters as tell it from another.</summary>
static class OpText
{
    /// <summary>`conv2d 3×3`, `conv2d 3×3 depthwise`: kernels that have nothing in common but the name are apart.</summary>
    public static string Name(ProfileSpan span)
    {
        if (!IsConvolution(span, out var x, out var kernel)) return span.Name;
        return $"{span.Name} {kernel[2]}×{kernel[3]}{(kernel[1] == 1 && x.Channels > 1 ? " depthwise" : "")}";
    }

    /// <summary>`64×64×28×28→128 /2` for a convolution, `128×512 · 10000×512` for two matrices, `64×512×7×7→64×512` where only the result differs.</summary>
    public static string Shapes(ProfileSpan span)
    {
        if (span.Result is not { } result) return "";
        if (span.Inputs is not [var x, .. var others]) return Of(result);
        if (IsConvolution(span, out _, out var kernel)) return Of(x) + Outputs(x, kernel, result);
        var different = others.Where(o => o.Rank > 1 && !o.Equals(x)).Select(o => $" · {Of(o)}").ToArray();
        return Of(x) + (different.Length > 0 ? string.Concat(different) : result.Equals(x) ? "" : $"→{Of(result)}");
    }

    public static string Of(Shape shape) => string.Join('×', Enumerable.Range(0, shape.Rank).Select(axis => shape[axis]));

    static bool IsConvolution(ProfileSpan span, out Shape x, out Shape kernel)
    {
        bool is4 = span is { Result.IsMap: true, Inputs: [{ IsMap: true }, { IsMap: false, Rank: 4 }, ..] };
        (x, kernel) = is4 ? (span.Inputs[0], span.Inputs[1]) : (null!, null!);
        return is4;
    }

    static string Outputs(Shape x, Shape kernel, Shape y)
    {
        int groups = x.Channels / kernel[1], stride = (int)Math.Round(x.Height / (double)y.Height);
        var channels = groups == x.Channels && y.Channels == x.Channels && groups > 1 ? "" : $"→{y.Channels}";
        return $"{channels}{(groups > 1 && groups < x.Channels ? $" in {groups} groups" : "")}{(stride > 1 ? $" /{stride}" : "")}";
    }
}
