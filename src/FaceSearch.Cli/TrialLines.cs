using System.Diagnostics;
using System.Globalization;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>Progress of a study where nobody watches: one plain line an event, for logs.</summary>
sealed class TrialLines(TextWriter output) : IProgress<StudyEvent>
{
    readonly Stopwatch watch = Stopwatch.StartNew();

    public void Report(StudyEvent now)
    {
        var eta = now.Remaining is { } left ? $" eta {TrialText.Time(left)}" : "";
        var best = now.Best is { } b ? string.Create(CultureInfo.InvariantCulture, $" best {b.Scores[^1]:0.0000}") : "";
        output.WriteLine($"[{TrialText.Time(watch.Elapsed)}] {now.Done}/{now.Total}{eta}{best} | {Words(now)}");
    }

    static string Words(StudyEvent now) => now.Kind switch
    {
        StudyEventKind.Started => $"trial {TrialText.Name(now.Trial)} started {now.Design}",
        StudyEventKind.Rung => string.Create(CultureInfo.InvariantCulture,
            $"trial {TrialText.Name(now.Trial)} rung {now.Trial.Scores.Length} score {now.Trial.Scores[^1]:0.0000} {now.ImagesPerSecond:0} images/s"),
        _ => TrialText.Line(now.Trial, ""),
    };
}
