using ScottPlot;

namespace FaceSearch.Search;

/// How the policy's mind changed: one heat map for each decision, options upwards, trials to the right.
static class ReportProbabilities
{
    const int Window = 10;
    const int MostColumns = 120, Levels = 40;

    public static Html Section(ReportData data)
    {
        var trials = data.Trials.Where(t => t.Origin == TrialOrigin.Policy).ToArray();
        if (trials.Length < 2) return Html.Of($"<h2>What the policy believed</h2><p>Too few trials.</p>");
        bool stored = trials.All(t => t.Probabilities.Length == data.Space.Decisions.Length);
        var words = stored
            ? Html.Of($"The policy's probability of each option when it proposed a trial: white is none, the darkest blue is certainty.")
            : Html.Of($"This policy has no probabilities of its own: shown is how often each option was proposed among the last {Window} trials, white for never, the darkest blue for always.");
        return Html.Of(
            $"""
            <h2>What the policy believed</h2>
            <p class="quiet">{words} A red ring marks the option of the best trial when it was proposed.</p>
            <div class="small">
            {Html.Join(data.Space.Decisions.Select((d, i) => Map(data, trials, i, stored)))}</div>
            """);
    }

    static Html Map(ReportData data, Trial[] trials, int index, bool stored)
    {
        var decision = data.Space.Decisions[index];
        int options = decision.Options.Length, columns = Math.Min(trials.Length, MostColumns);
        double first = trials[0].Number, last = trials[^1].Number, step = (last - first) / (columns - 1);
        var shares = Enumerable.Range(0, columns).Select(column =>
        {
            int trial = (int)((long)column * (trials.Length - 1) / (columns - 1));
            return stored ? trials[trial].Probabilities[index] : Frequency(trials, trial, index, options);
        }).ToArray();
        var chart = new Chart($"belief{index}", 400, 76 + 17 * options, "trial", "");
        chart.Plot.Axes.SetLimits(first - step / 2, last + step / 2, -0.5, options - 0.5);
        chart.Plot.HideGrid();
        chart.Rows(decision.Options.Select(o => Short(o.Label)));
        foreach (var level in Cells(shares, options).GroupBy(cell => cell.Level).OrderBy(g => g.Key))
            chart.Cells(Colors.White.InterpolateRgb(Color.FromHex("#1e3a8a"), level.Key / (double)Levels),
                level.Select(c => new CoordinateRect(first + (c.From - 0.5) * step, first + (c.To - 0.5) * step, c.Option - 0.5, c.Option + 0.5)));
        if (data.Best is { Origin: TrialOrigin.Policy } best)
            chart.Plot.Add.Marker(best.Number, best.Actions[index], MarkerShape.OpenCircle, 9, Chart.Red).MarkerLineWidth = 2;
        return chart.Figure(Html.Of($"<b>{decision.Name}</b>"));
    }

    /// Neighbours of one option that look the same make one cell; To is the first column behind it.
    static IEnumerable<(int Option, int From, int To, int Level)> Cells(double[][] shares, int options)
    {
        for (int option = 0; option < options; option++)
            for (int from = 0, to; from < shares.Length; from = to)
            {
                int level = Level(shares[from][option]);
                for (to = from + 1; to < shares.Length && Level(shares[to][option]) == level; to++) { }
                if (level > 0) yield return (option, from, to, level);
            }
    }

    static int Level(double share) => (int)Math.Round(Levels * Math.Clamp(share, 0, 1));

    static double[] Frequency(Trial[] trials, int until, int decision, int options)
    {
        var recent = trials[Math.Max(0, until + 1 - Window)..(until + 1)];
        return [.. Enumerable.Range(0, options).Select(o => recent.Count(t => t.Actions[decision] == o) / (double)recent.Length)];
    }

    static string Short(string label) => label.Length <= 9 ? label : label[..8] + "…";
}
