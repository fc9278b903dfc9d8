using ScottPlot;

namespace FaceSearch.Search;

/// Reward and best so far along the trials, beside what random search is expected to have reached.
static class ReportProgress
{
    public static Html Section(ReportData data)
    {
        var complete = data.Trials.Where(t => t.State == TrialState.Complete).ToArray();
        if (complete.Length == 0) return Html.Of($"<h2>Reward along the trials</h2><p>No trial is complete.</p>");
        var chart = new Chart("progress", 900, 420, "trial", "reward");
        double floor = Floor(data);
        foreach (var mark in Marks) Points(chart, [.. data.Trials.Where(t => t.State == mark.State)], mark, floor);
        BestSoFar(chart, data.Trials);
        if (data.Baseline is { } baseline && double.IsFinite(baseline.Reward))
        {
            Level(chart, 0, data.Trials[^1].Number, baseline.Reward, Chart.Green, LinePattern.Dashed);
            chart.Key("╍", Chart.Green, "baseline");
        }
        var reference = Random(chart, data);
        return Html.Of(
            $"""
            <h2>Reward along the trials</h2>
            {chart.Figure(Html.Of($"Reward = last score − {data.Settings.Study.FlopsPenalty}·|FLOPs / target − 1|. Best so far counts complete trials only. {reference} Trials without any reward stand at the bottom."))}
            """);
    }

    static readonly (TrialState State, Color Color, MarkerShape Shape, string Sign)[] Marks =
    [
        (TrialState.Complete, Chart.Blue, MarkerShape.FilledCircle, "●"),
        (TrialState.Pruned, Chart.Amber, MarkerShape.OpenTriangleDown, "▽"),
        (TrialState.Rejected, Chart.Quiet, MarkerShape.OpenSquare, "□"),
        (TrialState.Diverged, Chart.Red, MarkerShape.Eks, "✕"),
        (TrialState.Failed, Chart.Ink, MarkerShape.Cross, "+"),
    ];

    static void Points(Chart chart, Trial[] trials, (TrialState State, Color Color, MarkerShape Shape, string Sign) mark, double floor)
    {
        if (trials.Length == 0) return;
        var points = chart.Plot.Add.ScatterPoints(trials.Select(t => new Coordinates(t.Number, double.IsFinite(t.Reward) ? t.Reward : floor)).ToArray(), mark.Color);
        (points.MarkerShape, points.MarkerSize, points.MarkerLineWidth) = (mark.Shape, 7, 1.5f);
        chart.Key(mark.Sign, mark.Color, mark.State.ToString().ToLowerInvariant());
    }

    /// A line below every reward, for what has none.
    static double Floor(ReportData data)
    {
        double[] rewards = [.. data.Trials.Append(data.Baseline).OfType<Trial>().Select(t => t.Reward).Where(double.IsFinite)];
        return rewards.Min() - Math.Max(0.005, 0.08 * (rewards.Max() - rewards.Min()));
    }

    static void BestSoFar(Chart chart, IReadOnlyList<Trial> trials)
    {
        var steps = new List<Coordinates>();
        double best = double.NegativeInfinity;
        foreach (var trial in trials)
        {
            if (trial.State == TrialState.Complete) best = Math.Max(best, trial.Reward);
            if (double.IsFinite(best)) steps.Add(new(trial.Number, best));
        }
        var line = chart.Plot.Add.Scatter(steps, Chart.Blue);
        (line.ConnectStyle, line.MarkerSize, line.LineWidth) = (ConnectStyle.StepHorizontal, 0, 2);
        chart.Key("━", Chart.Blue, "best so far");
    }

    /// Draws the random reference and says what it is.
    static Html Random(Chart chart, ReportData data)
    {
        if (data.Settings.Study.Policy.Equals("random", StringComparison.OrdinalIgnoreCase))
            return Html.Of($"The policy is random search itself, so there is no other line to compare with.");
        var pool = RandomReference.Pool(data.Trials);
        var expected = RandomReference.ExpectedBest(pool);
        if (expected.Length < 3)
            return Html.Of($"There is no line for random search: fewer than three trials are known to have been proposed by a nearly uniform policy.");
        var line = chart.Plot.Add.Scatter(expected.Select((reward, i) => new Coordinates(i, reward)).ToArray(), Chart.Violet);
        (line.MarkerSize, line.LineWidth) = (0, 2);
        chart.Key("━", Chart.Violet, "random search, expected best so far");
        Level(chart, expected.Length - 1, data.Trials[^1].Number, expected[^1], Chart.Violet, LinePattern.Dotted);
        chart.Key("┅", Chart.Violet, "random search, lower bound");
        return Html.Of(
            $"""
            Random search: the expected best of k trials drawn without replacement from the {pool.Count} trials ({pool.Count(t => t.State == TrialState.Complete)} complete)
            that this study proposed while the policy was still nearly uniform (mean entropy at least {RandomReference.LeastEntropy} of the uniform);
            a trial stopped early counts as the lowest complete one. Beyond {pool.Count} trials nothing is known but that it would not fall: the dotted level is a lower bound.
            """);
    }

    static void Level(Chart chart, double from, double to, double reward, Color color, LinePattern pattern)
    {
        var line = chart.Plot.Add.Line(from, reward, Math.Max(to, from), reward);
        (line.LineColor, line.LinePattern, line.LineWidth) = (color, pattern, 1.5f);
    }
}
