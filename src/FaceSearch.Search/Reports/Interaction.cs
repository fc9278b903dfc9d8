using FaceSearch.Tensors;
using MathNet.Numerics.LinearAlgebra;

namespace FaceSearch.Search;

/// <summary>Whether what is best in one part of a design depends on what is chosen in another.</summary>
/// <param name="Means">Mean score of [lower, upper half of the first part] × [lower, upper half of the second]; NaN for an empty cell.</param>
/// <param name="Contrast">Upper-upper − upper-lower − lower-upper + lower-lower: 0 where the parts only add up.</param>
/// <param name="P">Two-sided permutation p-value; NaN where there are too few trials.</param>
public sealed record GroupInteraction(DecisionGroup First, DecisionGroup Second, double[,] Means, int[,] Counts, double Contrast, double P);

/// <summary>
/// Interaction of cleaning, network and loss. A part of a design is rated by the marginal model of its decisions: the
/// sum, over its decisions, of the mean score of the chosen option's trials minus the overall mean. Trials are halved
/// by that rating in either part; the contrast of the four mean scores is tested by permuting the residuals of the
/// additive model of the halves (Freedman and Lane 1983), with the rating and the halving done anew each time.
/// </summary>
public static class Interaction
{
    const int LeastTrials = 16, LeastInCell = 3;
    const ulong Stream = 0x696E7472UL << 32;

    /// <summary>The three pairs of parts, without those that the space does not decide.</summary>
    public static GroupInteraction[] All(Space space, IEnumerable<Trial> trials, int seed)
    {
        var scored = Importance.Scored(trials);
        int[][] actions = [.. scored.Select(t => t.Actions)];
        double[] scores = [.. scored.Select(t => t.Scores[^1])];
        DecisionGroup[] groups = [.. Enum.GetValues<DecisionGroup>().Where(g => space.Decisions.Any(d => d.Group == g))];
        var pairs = groups.SelectMany((a, i) => groups[(i + 1)..].Select(b => (a, b)));
        return scores.Length == 0 ? [] : [.. pairs.Select((pair, i) => Test(space, actions, scores, pair.a, pair.b, groups, seed, Stream + (ulong)(i * Importance.Permutations)))];
    }

    static GroupInteraction Test(Space space, int[][] actions, double[] scores, DecisionGroup a, DecisionGroup b, DecisionGroup[] groups, int seed, ulong stream)
    {
        var (means, counts) = Table(Upper(space, actions, scores, a), Upper(space, actions, scores, b), scores);
        double contrast = Contrast(means);
        bool enough = scores.Length >= LeastTrials && counts.Cast<int>().Min() >= LeastInCell;
        return new(a, b, means, counts, contrast, enough ? P() : double.NaN);

        double P()
        {
            var fitted = Additive([.. groups.Select(g => Upper(space, actions, scores, g))], scores);
            int asHigh = 0;
            for (int round = 0; round < Importance.Permutations; round++)
            {
                var order = Noise.Permutation(scores.Length, (ulong)seed, stream + (ulong)round);
                double[] again = [.. fitted.Select((f, i) => f + scores[order[i]] - fitted[order[i]])];
                double other = Contrast(Table(Upper(space, actions, again, a), Upper(space, actions, again, b), again).Means);
                if (!(Math.Abs(other) < Math.Abs(contrast) - 1e-12)) asHigh++;
            }
            return (asHigh + 1.0) / (Importance.Permutations + 1);
        }
    }

    /// Which trials stand in the upper half by the rating of their part.
    static bool[] Upper(Space space, int[][] actions, double[] scores, DecisionGroup group)
    {
        var rating = new double[scores.Length];
        double mean = scores.Average();
        for (int d = 0; d < space.Decisions.Length; d++)
        {
            if (space.Decisions[d].Group != group) continue;
            var sums = new double[space.Decisions[d].Options.Length];
            var counts = new int[sums.Length];
            for (int t = 0; t < scores.Length; t++)
            {
                sums[actions[t][d]] += scores[t];
                counts[actions[t][d]]++;
            }
            for (int t = 0; t < scores.Length; t++) rating[t] += sums[actions[t][d]] / counts[actions[t][d]] - mean;
        }
        double median = rating.Order().ElementAt(rating.Length / 2);
        return [.. rating.Select(r => r >= median)];
    }

    static (double[,] Means, int[,] Counts) Table(bool[] a, bool[] b, double[] scores)
    {
        var means = new double[2, 2];
        var counts = new int[2, 2];
        for (int t = 0; t < scores.Length; t++)
        {
            means[a[t] ? 1 : 0, b[t] ? 1 : 0] += scores[t];
            counts[a[t] ? 1 : 0, b[t] ? 1 : 0]++;
        }
        for (int i = 0; i < 4; i++) means[i / 2, i % 2] /= counts[i / 2, i % 2];
        return (means, counts);
    }

    static double Contrast(double[,] means) => means[1, 1] - means[1, 0] - means[0, 1] + means[0, 0];

    /// Least squares of the scores on a constant and the halves of all parts.
    static double[] Additive(bool[][] halves, double[] scores)
    {
        var design = Matrix<double>.Build.Dense(scores.Length, halves.Length + 1, (t, c) => c == 0 || halves[c - 1][t] ? 1 : 0);
        return [.. design * design.Svd().Solve(Vector<double>.Build.Dense(scores))];
    }
}
