using System.Globalization;

namespace FaceSearch.Search;

/// What became of every trial.
static class ReportTrials
{
    const int Most = 500, Part = 100;

    public static Html Section(ReportData data) => Html.Of(
        $"""
        <h2>Trials</h2>
        {Html.Table(["state", "trials", "share", "seconds", "what it means"], data.Trials.GroupBy(t => t.State).OrderBy(g => g.Key).Select(g => new object[]
            { g.Key.ToString().ToLowerInvariant(), g.Count(), new Figure(100.0 * g.Count() / data.Trials.Count, "0.0' %'"), new Figure(g.Sum(t => t.Seconds), "0.0"), Meaning(g.Key) }))}
        {All(data)}
        """);

    static Html All(ReportData data)
    {
        if (data.Trials.Count <= Most) return Html.Of($"<details open><summary>All trials, and the baseline</summary>{Table(data, [.. Own(data), .. data.Trials])}</details>");
        var best = data.Trials.Where(t => t.State == TrialState.Complete).OrderByDescending(t => t.Reward).ThenBy(t => t.Number).Take(Part);
        return Html.Of(
            $"""
            <details open><summary>The best {Part} complete trials of {data.Trials.Count}</summary>{Table(data, [.. Own(data), .. best])}</details>
            <details open><summary>The last {Part} trials</summary>{Table(data, data.Trials.TakeLast(Part))}</details>
            """);
    }

    static IEnumerable<Trial> Own(ReportData data) => data.Baseline is { } baseline ? [baseline] : [];

    static Html Table(ReportData data, IEnumerable<Trial> trials) => Html.Table(
        ["trial", "state", "scores by rung", "reward", "design", "MMACs", "M parameters", "MiB", "images kept", "identities kept", "seconds", "message"],
        trials.Select(t => new object[]
        {
            t.Origin == TrialOrigin.Baseline ? "baseline" : t.Origin == TrialOrigin.Enqueued ? $"{t.Number} (given)" : (object)t.Number,
            t.State.ToString().ToLowerInvariant() + (t.Attempts > 1 ? $", started {t.Attempts} times" : ""),
            Html.Of($"<span class=\"verdict\">{string.Join(" · ", t.Scores.Select(s => s.ToString("0.0000", CultureInfo.InvariantCulture)))}</span>"),
            Figure.Score(t.Reward),
            Html.Of($"<span class=\"design\">{(t.Origin == TrialOrigin.Baseline ? "the settings' own" : data.Space.Describe(t.Actions))}</span>"),
            new Figure(t.MMacs), new Figure(t.MParams, "0.00#"), new Figure(t.MemoryMiB, "0.#"),
            t.KeptImages, t.KeptIdentities, new Figure(t.Seconds, "0.0"),
            t.Message,
        }));

    static string Meaning(TrialState state) => state switch
    {
        TrialState.Queued => "waits for a worker",
        TrialState.Running => "in training when the study was last written",
        TrialState.Complete => "trained with the whole budget",
        TrialState.Pruned => "stopped at a rung because it lagged behind earlier trials",
        TrialState.Rejected => "over a limit, or left without data by its own cleaning; never trained",
        TrialState.Diverged => "the loss became NaN or stayed flat",
        TrialState.Failed => "stopped by an error; its message tells it",
        _ => "its worker died; it will be run again",
    };
}
