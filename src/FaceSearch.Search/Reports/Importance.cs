using FaceSearch.Tensors;

namespace FaceSearch.Search;

/// <summary>How much of the scores' variance one decision explains on its own.</summary>
/// <param name="Options">Options that were tried.</param>
/// <param name="Share">Share of the variance between options, ε² (Kelley 1935): adjusted for their number, 0 for a decision without effect; NaN where it cannot be had.</param>
/// <param name="P">Permutation p-value; NaN where there are too few trials.</param>
/// <param name="BestOption">Label of the option of the highest mean score among those tried at least twice; empty for none.</param>
public sealed record DecisionEffect(Decision Decision, int Options, double Share, double P, string BestOption, double BestMean);

/// <summary>Main effects of the decisions of a study. All draws follow from its seed.</summary>
public static class Importance
{
    public const int Permutations = 999;
    const int LeastTrials = 8;
    const ulong Stream = 0x696D706FUL << 32;

    /// <summary>The trials that have a score: complete, or stopped at a rung.</summary>
    public static Trial[] Scored(IEnumerable<Trial> trials) =>
        [.. trials.Where(t => t.State is TrialState.Complete or TrialState.Pruned && t.Scores.Length > 0 && double.IsFinite(t.Scores[^1]))];

    /// <summary>The effect of each decision on the last score, in the space's order.</summary>
    public static DecisionEffect[] MainEffects(Space space, IEnumerable<Trial> trials, int seed)
    {
        var scored = Scored(trials);
        double[] scores = [.. scored.Select(t => t.Scores[^1])];
        return [.. space.Decisions.Select((d, i) => Effect(d, [.. scored.Select(t => t.Actions[i])], scores, seed, Stream + (ulong)i * Permutations))];
    }

    /// <summary>Significance of several tests at once (Holm 1979): p-values so adjusted that all below 0.05 may be believed together.</summary>
    public static double[] Holm(double[] p)
    {
        var adjusted = Enumerable.Repeat(double.NaN, p.Length).ToArray();
        int[] order = [.. Enumerable.Range(0, p.Length).Where(i => !double.IsNaN(p[i])).OrderBy(i => p[i])];
        double highest = 0;
        for (int rank = 0; rank < order.Length; rank++)
            adjusted[order[rank]] = highest = Math.Max(highest, Math.Min(1, (order.Length - rank) * p[order[rank]]));
        return adjusted;
    }

    static DecisionEffect Effect(Decision decision, int[] chosen, double[] scores, int seed, ulong stream)
    {
        var groups = chosen.Zip(scores).GroupBy(pair => pair.First).OrderBy(g => g.Key).ToArray();
        var best = groups.Where(g => g.Count() > 1).Select(g => (Option: g.Key, Mean: g.Average(pair => pair.Second))).OrderByDescending(g => g.Mean).FirstOrDefault((-1, double.NaN));
        int n = scores.Length, k = groups.Length;
        double share = Explained(chosen, scores, decision.Options.Length);
        bool enough = n >= LeastTrials && groups.Count(g => g.Count() > 1) > 1 && !double.IsNaN(share);
        return new(decision, k, enough && n > k ? Math.Max(0, 1 - (1 - share) * (n - 1) / (n - k)) : double.NaN,
            enough ? P(share, chosen, scores, decision.Options.Length, seed, stream) : double.NaN,
            best.Item1 < 0 ? "" : decision.Options[best.Item1].Label, best.Item2);
    }

    static double P(double share, int[] chosen, double[] scores, int options, int seed, ulong stream)
    {
        int asHigh = 0;
        var shuffled = new double[scores.Length];
        for (int round = 0; round < Permutations; round++)
        {
            var order = Noise.Permutation(scores.Length, (ulong)seed, stream + (ulong)round);
            for (int i = 0; i < scores.Length; i++) shuffled[i] = scores[order[i]];
            if (Explained(chosen, shuffled, options) >= share - 1e-12) asHigh++;
        }
        return (asHigh + 1.0) / (Permutations + 1);
    }

    /// η²: variance of the options' means as a share of all variance; NaN where the scores do not differ.
    static double Explained(int[] chosen, double[] scores, int options)
    {
        if (scores.Length == 0) return double.NaN;
        var sums = new double[options];
        var counts = new int[options];
        double mean = scores.Average(), total = 0, between = 0;
        for (int i = 0; i < scores.Length; i++)
        {
            double deviation = scores[i] - mean;
            sums[chosen[i]] += deviation;
            counts[chosen[i]]++;
            total += deviation * deviation;
        }
        for (int o = 0; o < options; o++) if (counts[o] > 0) between += sums[o] * sums[o] / counts[o];
        return total > 0 ? between / total : double.NaN;
    }
}
