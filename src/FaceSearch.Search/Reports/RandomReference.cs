namespace FaceSearch.Search;

/// <summary>
/// What random search would have reached, from the trials that a study itself proposed at random or nearly so.
/// </summary>
public static class RandomReference
{
    /// <summary>A proposal counts as random while the mean entropy of its distributions is at least this share of the uniform one's.</summary>
    public const double LeastEntropy = 0.98;

    /// <summary>The finished trials of the policy whose distributions, stored when they were proposed, were still nearly uniform.</summary>
    public static IReadOnlyList<Trial> Pool(IEnumerable<Trial> trials) =>
        [.. trials.Where(t => t.IsFinished && t.Origin == TrialOrigin.Policy && Entropy(t.Probabilities) >= LeastEntropy)];

    /// <summary>Mean entropy of some distributions as a share of the uniform ones'; NaN for none. Decisions of one option do not count.</summary>
    public static double Entropy(double[][] distributions) =>
        distributions.Where(d => d.Length > 1).Select(d => -d.Where(p => p > 0).Sum(p => p * Math.Log(p)) / Math.Log(d.Length))
            .DefaultIfEmpty(double.NaN).Average();

    /// <summary>
    /// Expected highest reward of k trials drawn from the pool without replacement, for k = 1 … pool:
    /// Σᵢ x₍ᵢ₎·C(i−1, k−1) / C(m, k), which is unbiased for the expected best of k independent random trials. A trial
    /// without a final reward counts as the lowest final reward of the pool. Empty where no trial has one.
    /// </summary>
    public static double[] ExpectedBest(IReadOnlyList<Trial> pool)
    {
        double[] final = [.. pool.Where(t => t.State == TrialState.Complete).Select(t => t.Reward)];
        if (final.Length == 0) return [];
        double[] rewards = [.. final.Concat(Enumerable.Repeat(final.Min(), pool.Count - final.Length)).Order()];
        return [.. Enumerable.Range(1, rewards.Length).Select(k => ExpectedBest(rewards, k))];
    }

    /// The weight of the highest is k/m; each next lower one follows by the ratio of the binomials.
    static double ExpectedBest(double[] ascending, int k)
    {
        int m = ascending.Length;
        double weight = (double)k / m, expected = 0;
        for (int i = m; i >= k; i--)
        {
            expected += weight * ascending[i - 1];
            if (i > 1) weight *= (double)(i - k) / (i - 1);
        }
        return expected;
    }
}
