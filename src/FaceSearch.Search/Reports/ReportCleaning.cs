using ScottPlot;

namespace FaceSearch.Search;

/// What the best design's cleaning did to which photograph.
static class ReportCleaning
{
    const int MostRows = 200;

    public static Html Section(ReportData data) => Html.Of(
        $"""
        <h2>The cleaning of the best design</h2>
        {Kept(data)}
        {(data.Audit.Count == 0 ? Html.Of($"<p>The study lists no cleaned photograph: the best design drops and merges nothing, or the final step has not been run.</p>") : Audit(data.Audit))}
        """);

    static Html Kept(ReportData data)
    {
        var rows = new[] { ("baseline", data.Baseline), ("best", data.Best) }.Where(row => row.Item2 is { KeptImages: > 0 })
            .Select(row => new object[] { row.Item1, row.Item2!.KeptImages, row.Item2.KeptIdentities }).ToArray();
        return rows.Length == 0 ? Html.None : Html.Table(["design", "images kept", "identities kept"], rows);
    }

    static Html Audit(IReadOnlyList<AuditEntry> audit) => Html.Of(
        $"""
        {Html.Table(["done", "entries", "lowest similarity", "mean", "highest"], audit.GroupBy(Kind).OrderBy(g => g.Key, StringComparer.Ordinal).Select(Summary))}
        {Histogram(audit)}
        <details><summary>{(audit.Count > MostRows ? $"The first {MostRows} of {audit.Count} entries" : $"All {audit.Count} entries")}</summary>
        {Html.Table(["image", "identity", "done", "similarity"], audit.Take(MostRows).Select(e => new object[] { e.Image, e.Identity, e.Done, new Figure(e.Similarity, "0.000") }))}</details>
        """);

    /// "moved to Anna" and "moved to Bert" are one kind.
    static string Kind(AuditEntry entry) => entry.Done.Split(" to ")[0];

    static object[] Summary(IGrouping<string, AuditEntry> group)
    {
        double[] known = [.. group.Select(e => e.Similarity).Where(double.IsFinite)];
        return [group.Key, group.Count(), .. new[] { known.DefaultIfEmpty(double.NaN).Min(), known.DefaultIfEmpty(double.NaN).Average(), known.DefaultIfEmpty(double.NaN).Max() }
            .Select(s => (object)new Figure(s, "0.000"))];
    }

    static Html Histogram(IReadOnlyList<AuditEntry> audit)
    {
        const double width = 0.05;
        var chart = new Chart("similarity", 900, 300, "cosine similarity", "entries");
        Color[] colors = [Chart.Blue, Chart.Amber, Chart.Green, Chart.Violet, Chart.Red, Chart.Quiet];
        int drawn = 0;
        foreach (var group in audit.Where(e => double.IsFinite(e.Similarity)).GroupBy(Kind).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            var bars = group.GroupBy(e => Math.Floor(e.Similarity / width)).OrderBy(bin => bin.Key)
                .Select(bin => new Bar { Position = (bin.Key + 0.5) * width, Value = bin.Count(), Size = width * 0.92 }).ToArray();
            var color = colors[drawn++ % colors.Length];
            foreach (var bar in bars) (bar.FillColor, bar.LineColor) = (color.WithAlpha(0.7), color);
            chart.Plot.Add.Bars(bars);
            chart.Key("■", color, group.Key);
        }
        if (drawn == 0) return Html.None;
        chart.Plot.Axes.Margins(bottom: 0);
        return chart.Figure(Html.Of($"Similarities of what was changed: of a photograph to the centre of its identity's other photographs, of an identity's centre to that of the one it was merged into."));
    }
}
