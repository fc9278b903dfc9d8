using System.Diagnostics;
using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>Something to time. Prepare runs before every Run and is not timed. A Run does the work Repeats times and waits for its end.</summary>
/// <param name="Megabytes">The most memory so far, where that is not the process's: a GPU's.</param>
sealed record Step(Action Run, Action? Prepare = null, int Repeats = 1, Func<double>? Megabytes = null);

/// <summary>
/// The child's half of a measurement, the same code for us and for the peer: warms up, says `ready`, and then answers each
/// number of seconds on its input by one line with the times of the steps it did. Between two questions it sleeps, so that
/// several processes can take turns within one minute; the first step after that finds caches that were
/// others' meanwhile, and is not timed unless steps are long. Ends with its input.
/// </summary>
static class Sampler
{
    const string Ready = "ready";
    // Enough for the runtime to recompile what is called often, and for pools to fill.
    const double WarmSeconds = 0.5, LongStep = 3;

    public static void Serve(Step step, TextReader questions, TextWriter answers)
    {
        bool isLong = !Warm(step);
        answers.WriteLine(Ready);
        while (questions.ReadLine() is { Length: > 0 } seconds)
        {
            if (!isLong) Once(step);
            answers.WriteLine(Take(step, double.Parse(seconds, CultureInfo.InvariantCulture)).Text);
        }
    }

    /// Two steps at least; one, and false, where a step is so long that nothing short matters.
    static bool Warm(Step step)
    {
        var watch = Stopwatch.StartNew();
        for (int n = 1; ; n++)
        {
            Once(step);
            double seconds = watch.Elapsed.TotalSeconds;
            if (seconds > (n == 1 ? LongStep : WarmSeconds)) return n > 1;
        }
    }

    static void Once(Step step)
    {
        step.Prepare?.Invoke();
        step.Run();
    }

    public static Sample Take(Step step, double seconds)
    {
        var times = new List<double>(capacity: 1 << 16);
        double faults = 0, allocated = 0;
        var watch = Stopwatch.StartNew();
        do
        {
            step.Prepare?.Invoke();
            double faultsBefore = ProcessFigures.MinorFaults();
            long allocatedBefore = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
            step.Run();
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds / step.Repeats);
            allocated += GC.GetAllocatedBytesForCurrentThread() - allocatedBefore;
            faults += ProcessFigures.MinorFaults() - faultsBefore;
        }
        while (watch.Elapsed.TotalSeconds < seconds);
        return new([.. times], faults / times.Count, allocated / times.Count, step.Megabytes?.Invoke() ?? ProcessFigures.PeakMegabytes());
    }
}

/// <summary>Steps timed one by one, the page faults and managed bytes of one, and the process's peak so far.</summary>
sealed record Sample(double[] Milliseconds, double FaultsPerStep, double AllocatedPerStep, double PeakMegabytes)
{
    /// <summary>One line: `faults=… allocated=… mb=… ms=…;…;…`.</summary>
    public string Text => string.Create(CultureInfo.InvariantCulture,
        $"faults={FaultsPerStep} allocated={AllocatedPerStep} mb={PeakMegabytes} ms={string.Join(';', Milliseconds.Select(t => t.ToString("R", CultureInfo.InvariantCulture)))}");

    public static Sample Parse(string text)
    {
        var fields = text.Split(' ').Select(field => field.Split('=')).ToDictionary(f => f[0], f => f[1]);
        double Number(string name) => double.Parse(fields[name], CultureInfo.InvariantCulture);
        double[] times = [.. fields["ms"].Split(';').Select(t => double.Parse(t, CultureInfo.InvariantCulture))];
        return new(times, Number("faults"), Number("allocated"), Number("mb"));
    }

    /// <summary>Samples of several rounds as one.</summary>
    public static Sample Join(IReadOnlyList<Sample> rounds)
    {
        double steps = rounds.Sum(r => r.Milliseconds.Length);
        double Mean(Func<Sample, double> figure) => rounds.Sum(r => figure(r) * r.Milliseconds.Length) / steps;
        return new([.. rounds.SelectMany(r => r.Milliseconds).Order()], Mean(r => r.FaultsPerStep), Mean(r => r.AllocatedPerStep), rounds.Max(r => r.PeakMegabytes));
    }

    /// <summary>Quantile of the times of a joined sample, between two of them where it falls there.</summary>
    public double At(double quantile)
    {
        double at = quantile * (Milliseconds.Length - 1);
        int below = (int)at, above = Math.Min(below + 1, Milliseconds.Length - 1);
        return Milliseconds[below] + (at - below) * (Milliseconds[above] - Milliseconds[below]);
    }
}
