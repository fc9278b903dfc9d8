using System.Globalization;
using FaceSearch.Recognition;
using MathNet.Numerics.Statistics;

namespace FaceSearch.Search;

/// The answer: the best design, what it beats, on whom, and what finding it cost.
static class ReportHeadline
{
    const string BestNote = "final.best.", BaselineNote = "final.baseline.";

    public static Html Section(ReportData data) => Html.Of(
        $"""
        <h1>{data.Info.Name}</h1>
        <p class="quiet">Joint search of cleaning, network and loss · policy {data.Settings.Study.Policy} · space {data.Space.Name}
        ({data.Space.Decisions.Length} decisions, {data.Space.Size:0.###e+0} designs) · seed {data.Settings.Seed}</p>
        {(data.Best is { } best ? Answer(data, best) : Html.Of($"<p class=\"lead\">No trial is complete, so there is no best design.</p>"))}
        {Tiles(data)}
        {(data.Best is { } design ? Design(data, design) : Html.None)}
        {HeldOut(data)}
        """);

    static Html Answer(ReportData data, Trial best)
    {
        var changed = Differences(data, best).Where(d => d.Changed).GroupBy(d => d.Decision.Group).OrderBy(g => g.Key)
            .Select(g => Html.Of($"<b>{ReportData.Name(g.Key)}</b> {string.Join(", ", g.Select(d => $"{d.Decision.Name} {d.Chosen} instead of {d.Baseline}"))}"))
            .ToArray();
        var words = changed.Length == 0
            ? Html.Of($"It is the baseline's own design.")
            : Html.Of($"It differs from the baseline in {new Html(string.Join("; ", changed))}.");
        return Html.Of($"<p class=\"lead\">The best design is that of trial {best.Number}. {words} {Chosen(data)}</p>");
    }

    static string Chosen(ReportData data) => data.Notes.Keys.Count(key => key.StartsWith("finalist.", StringComparison.Ordinal)) is > 1 and var finalists
        ? $"It was chosen by a second training, with another seed, of the {finalists} designs of highest reward."
        : "";

    static Html Tiles(ReportData data)
    {
        double best = data.Best is { } b ? ReportData.Score(b) : double.NaN, baseline = data.Baseline is { } own ? ReportData.Score(own) : double.NaN;
        return Html.Of(
            $"""
            <div class="tiles">
            {Tile(Figure.Percent(best), "best, on the pairs it was chosen by")}
            {Tile(Figure.Percent(baseline), "baseline, on the same pairs")}
            {Tile(Figure.Points(best - baseline), "best minus baseline")}
            {Tile(data.Trials.Count(t => t.IsFinished), "trials")}
            {Tile(new Figure(data.Trials.Sum(t => t.Seconds) + (data.Baseline?.Seconds ?? 0), "#,0"), "seconds of trials, summed (core-seconds where a trial has one thread)")}
            </div>
            <p class="quiet">The best of {data.Trials.Count} trials looks better on the pairs it was chosen by than it is. The held-out figures below do not have this flaw.</p>
            """);
    }

    static Html Tile(object figure, string words) => Html.Of($"<div class=\"tile\"><b>{figure}</b><span>{words}</span></div>\n");

    static Html Design(ReportData data, Trial best) => Html.Of(
        $"""
        <h3>Decision by decision</h3>
        {Html.Table(["decision", "part", "baseline", "best", "", "meaning"], Differences(data, best).Select(d => new object[]
            { d.Decision.Name, ReportData.Name(d.Decision.Group), d.Baseline, d.Changed ? Html.Of($"<b>{d.Chosen}</b>") : d.Chosen, d.Changed ? "changed" : "same", Html.Of($"<span class=\"meaning\">{data.Meaning(d.Decision)}</span>") }))}
        """);

    static IEnumerable<(Decision Decision, string Baseline, string Chosen, bool Changed)> Differences(ReportData data, Trial best) =>
        data.Space.Decisions.Select((d, i) =>
        {
            string own = data.BaselineOption(d), chosen = d.Options[best.Actions[i]].Label;
            return (d, own, chosen, own != chosen);
        });

    static Html HeldOut(ReportData data)
    {
        var best = BySeed(data, BestNote);
        var baseline = BySeed(data, BaselineNote);
        if (best.Count == 0 && baseline.Count == 0)
            return Html.Of($"<h3>Held-out figures</h3><p>The study has none: the final retraining has not been run.</p>");
        var comparison = SeedComparison.Of(best, baseline);
        var seeds = best.Keys.Union(baseline.Keys).OrderBy(s => s.Length).ThenBy(s => s, StringComparer.Ordinal);
        double At(Dictionary<string, double> figures, string seed) => figures.GetValueOrDefault(seed, double.NaN);
        return Html.Of(
            $"""
            <h3>Held-out figures</h3>
            <p>Both designs were trained anew and verified on people whom neither the search nor the cleaning saw.
            Difference <b>{Figure.Points(comparison.Difference)}</b>{Interval(comparison)}: <b>{comparison.Verdict}</b>.</p>
            {Html.Table(["seed", "best", "baseline", "difference"], [
                .. seeds.Select(s => Row(s, At(best, s), At(baseline, s))),
                Row("mean", Mean(best), Mean(baseline)),
                ["standard deviation", Figure.Percent(Deviation(best)), Figure.Percent(Deviation(baseline)), ""]])}
            {Unfinished(data)}{Long(data)}
            <p class="quiet">The test covers the spread between training seeds, not the choice of the people in the pairs.
            {(data.Notes.TryGetValue("final.training", out var training) ? $"Training: {training}." : "")}</p>
            """);
    }

    /// A training without a figure is left out of the means; that must be seen.
    static Html Unfinished(ReportData data) => Html.Join(data.Notes
        .Where(note => (note.Key.StartsWith(BestNote, StringComparison.Ordinal) || note.Key.StartsWith(BaselineNote, StringComparison.Ordinal)) && !IsFigure(note.Value))
        .Select(note => Html.Of($"<p>{note.Key} has no figure and is in no mean: {note.Value}</p>\n")));

    static Html Long(ReportData data) => data.Notes.TryGetValue("last.accuracy", out var text) && IsFigure(text)
        ? Html.Of($"<p>One long training of the best design ({data.Settings.Study.Last}): <b>{Figure.Percent(double.Parse(text, CultureInfo.InvariantCulture))}</b> on the same held-out pairs.</p>")
        : Html.None;

    static bool IsFigure(string text) => double.TryParse(text, CultureInfo.InvariantCulture, out double figure) && double.IsFinite(figure);

    static object[] Row(string name, double best, double baseline) =>
        [name, Figure.Percent(best), Figure.Percent(baseline), Figure.Points(best - baseline)];

    static Html Interval(SeedComparison c) =>
        double.IsNaN(c.HalfWidth) ? Html.None : Html.Of($" ± {new Figure(100 * c.HalfWidth, "0.00")} (95 % interval)");

    static double Mean(Dictionary<string, double> figures) => figures.Count == 0 ? double.NaN : figures.Values.Average();
    static double Deviation(Dictionary<string, double> figures) => figures.Count < 2 ? double.NaN : figures.Values.StandardDeviation();

    static Dictionary<string, double> BySeed(ReportData data, string prefix)
    {
        var figures = new Dictionary<string, double>();
        foreach (var (key, text) in data.Notes)
            if (key.StartsWith(prefix, StringComparison.Ordinal) && long.TryParse(key[prefix.Length..], out _) && IsFigure(text))
                figures[key[prefix.Length..]] = double.Parse(text, CultureInfo.InvariantCulture);
        return figures;
    }
}
