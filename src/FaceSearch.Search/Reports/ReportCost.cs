using ScottPlot;

namespace FaceSearch.Search;

/// Score against multiply-accumulates: the target, and the designs that nothing beats in both.
static class ReportCost
{
    public static Html Section(ReportData data)
    {
        var complete = data.Trials.Where(t => t.State == TrialState.Complete).ToArray();
        if (complete.Length == 0) return Html.Of($"<h2>Score against cost</h2><p>No trial is complete.</p>");
        var chart = new Chart("cost", 900, 400, "millions of multiply-accumulates of one forward pass", "score on the choosing pairs");
        var points = chart.Plot.Add.ScatterPoints(complete.Select(At).ToArray(), Chart.Blue.WithAlpha(0.55));
        points.MarkerSize = 7;
        chart.Key("●", Chart.Blue, "complete trials");
        var front = Front(complete);
        var line = chart.Plot.Add.Scatter(front.Select(At).ToArray(), Chart.Ink);
        (line.ConnectStyle, line.MarkerSize, line.LineWidth) = (ConnectStyle.StepHorizontal, 5, 1.5f);
        chart.Key("━", Chart.Ink, "Pareto front");
        Mark(chart, data.Best, "best", Chart.Red, MarkerShape.OpenCircle, "○");
        Mark(chart, data.Baseline, "baseline", Chart.Green, MarkerShape.FilledDiamond, "◆");
        if (data.Info.TargetMMacs > 0) Target(chart, data.Info.TargetMMacs);
        var words = data.Info.TargetMMacs > 0 ? Html.Of($"The target is {new Figure(data.Info.TargetMMacs)} million multiply-accumulates.") : Html.Of($"The study has no target yet.");
        return Html.Of(
            $"""
            <h2>Score against cost</h2>
            {chart.Figure(Html.Of($"{words} On the Pareto front stand the designs that no other one beats in both cost and score."))}
            {Html.Table(["Pareto front", "score", "MMACs", "M parameters", "design"], front.Select(t => new object[]
                { $"trial {t.Number}", Figure.Score(ReportData.Score(t)), new Figure(t.MMacs), new Figure(t.MParams, "0.00#"), Html.Of($"<span class=\"design\">{data.Space.Describe(t.Actions)}</span>") }))}
            """);
    }

    /// <summary>The trials that no other one beats in both cost and score, the cheapest first.</summary>
    public static Trial[] Front(IEnumerable<Trial> trials)
    {
        var front = new List<Trial>();
        foreach (var trial in trials.Where(t => t.Scores.Length > 0).OrderBy(t => t.MMacs).ThenByDescending(ReportData.Score).ThenBy(t => t.Number))
            if (front.Count == 0 || ReportData.Score(trial) > ReportData.Score(front[^1])) front.Add(trial);
        return [.. front];
    }

    static Coordinates At(Trial trial) => new(trial.MMacs, ReportData.Score(trial));

    static void Mark(Chart chart, Trial? trial, string words, Color color, MarkerShape shape, string sign)
    {
        if (trial is null || trial.Scores.Length == 0) return;
        chart.Plot.Add.Marker(At(trial), shape, 13, color).MarkerLineWidth = 2;
        chart.Key(sign, color, words);
    }

    static void Target(Chart chart, double target)
    {
        chart.Plot.Add.VerticalLine(target, 1.5f, Chart.Quiet, LinePattern.Dashed);
        chart.Key("╎", Chart.Quiet, "FLOPs target");
    }
}
