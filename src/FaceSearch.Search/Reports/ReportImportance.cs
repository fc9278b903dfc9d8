using System.Globalization;

namespace FaceSearch.Search;

/// What mattered, and what was coupled with what.
static class ReportImportance
{
    public static Html Section(ReportData data)
    {
        int scored = Importance.Scored(data.Trials).Length;
        return Html.Of(
            $"""
            <h2>What mattered</h2>
            <p class="quiet">From the last score of {scored} trials that were complete or stopped at a rung. Designs stopped early count with the score
            they had there. A policy that has made up its mind tries options unevenly and together, so this is association and no proof.</p>
            {Effects(data)}
            <h3>Do the parts depend on each other?</h3>
            <p class="quiet">Trials are halved by how well the options of each part score on their own. In the four cells stand mean scores (and trials).
            The contrast says by how much the best of both parts differs from what the two would add up to; its p-value comes from
            {Importance.Permutations} permutations of the residuals of an additive model.</p>
            {Interactions(data)}
            """);
    }

    static Html Effects(ReportData data)
    {
        var effects = Importance.MainEffects(data.Space, data.Trials, data.Settings.Seed);
        var holm = Importance.Holm([.. effects.Select(e => e.P)]);
        return Html.Of(
            $"""
            {Html.Table(["decision", "part", "options tried", "share of variance", "p", "p, adjusted", "verdict", "best option", "its mean score"],
                effects.Zip(holm).OrderByDescending(pair => double.IsNaN(pair.First.Share) ? -1 : pair.First.Share).Select(pair => new object[]
                {
                    pair.First.Decision.Name, ReportData.Name(pair.First.Decision.Group), pair.First.Options, new Figure(100 * pair.First.Share, "0.0' %'"),
                    new Figure(pair.First.P, "0.000"), new Figure(pair.Second, "0.000"), Verdict(pair.Second, "matters"), pair.First.BestOption, Figure.Score(pair.First.BestMean),
                }))}
            <p class="quiet">Share of variance: between the options, adjusted for their number (ε²). p: {Importance.Permutations} permutations;
            p, adjusted: for the {effects.Length} decisions tested at once (Holm). Best option: the highest mean score on its own, among those tried at least twice.</p>
            """);
    }

    static Html Verdict(double adjusted, string yes) =>
        Html.Of($"<span class=\"verdict\">{(double.IsNaN(adjusted) ? "too few trials" : adjusted < 0.05 ? yes : "not significant")}</span>");

    static Html Interactions(ReportData data)
    {
        var pairs = Interaction.All(data.Space, data.Trials, data.Settings.Seed);
        if (pairs.Length == 0) return Html.Of($"<p>The space decides one part only, or no trial has a score.</p>");
        var holm = Importance.Holm([.. pairs.Select(p => p.P)]);
        return Html.Table(["parts", "both lower", "first upper", "second upper", "both upper", "contrast", "p", "p, adjusted", "verdict"], pairs.Zip(holm, (p, adjusted) => new object[]
        {
            $"{ReportData.Name(p.First)} × {ReportData.Name(p.Second)}", Cell(p, 0, 0), Cell(p, 1, 0), Cell(p, 0, 1), Cell(p, 1, 1),
            Figure.Points(p.Contrast), new Figure(p.P, "0.000"), new Figure(adjusted, "0.000"), Verdict(adjusted, "they depend on each other"),
        }));
    }

    static string Cell(GroupInteraction pair, int first, int second) =>
        string.Create(CultureInfo.InvariantCulture, $"{Figure.Score(pair.Means[first, second])} ({pair.Counts[first, second]})");
}
