namespace FaceSearch.Recognition;

/// <summary>Two normal distributions on a line, the lower one first; weights add up to 1.</summary>
sealed record Mixture(double LowWeight, double LowMean, double LowStd, double HighMean, double HighStd)
{
    const double LeastStd = 1e-3;

    /// <summary>Expectation-maximisation from Otsu's split (Dempster et al. 1977, Otsu 1979); null for fewer than 20 values.</summary>
    public static Mixture? Fit(IEnumerable<double> values)
    {
        var x = values.Order().ToArray();
        if (x.Length < 20) return null;
        var mixture = FromSplit(x, OtsuSplit(x));
        for (int round = 0; round < 200; round++)
        {
            var next = mixture.Improve(x);
            bool settled = Math.Abs(next.LowMean - mixture.LowMean) + Math.Abs(next.HighMean - mixture.HighMean) + Math.Abs(next.LowWeight - mixture.LowWeight) < 1e-7;
            mixture = next;
            if (settled) break;
        }
        return mixture;
    }

    /// <summary>Distance of the means in units of the spread: D of Ashman et al. 1994, who call two groups apart above 2.</summary>
    public double Apart => Math.Sqrt(2) * (HighMean - LowMean) / Math.Sqrt(LowStd * LowStd + HighStd * HighStd);

    /// <summary>The point between the means where the lower one has the given share of the likelihood (bisection).</summary>
    public double Crossing(double share = 0.5)
    {
        double low = LowMean, high = HighMean;
        for (int i = 0; i < 60; i++)
        {
            double middle = (low + high) / 2;
            if (LowShare(middle) > share) low = middle;
            else high = middle;
        }
        return (low + high) / 2;
    }

    double LowShare(double x)
    {
        double low = LowWeight * Density(x, LowMean, LowStd), high = (1 - LowWeight) * Density(x, HighMean, HighStd);
        return low + high > 0 ? low / (low + high) : x < (LowMean + HighMean) / 2 ? 1 : 0;
    }

    static double Density(double x, double mean, double std) => Math.Exp(-0.5 * (x - mean) * (x - mean) / (std * std)) / std;

    Mixture Improve(double[] x)
    {
        double low = 0, lowSum = 0, lowSquares = 0, highSum = 0, highSquares = 0;
        foreach (double v in x)
        {
            double share = LowShare(v);
            low += share;
            lowSum += share * v;
            lowSquares += share * v * v;
            highSum += (1 - share) * v;
            highSquares += (1 - share) * v * v;
        }
        return From(x.Length, low, lowSum, lowSquares, highSum, highSquares);
    }

    static Mixture FromSplit(double[] x, int split) => From(x.Length, split,
        x.Take(split).Sum(), x.Take(split).Sum(v => v * v), x.Skip(split).Sum(), x.Skip(split).Sum(v => v * v));

    static Mixture From(int n, double low, double lowSum, double lowSquares, double highSum, double highSquares)
    {
        double a = Math.Clamp(low, 1e-9, n - 1e-9), b = n - a, lowMean = lowSum / a, highMean = highSum / b;
        double Std(double squares, double count, double mean) => Math.Max(LeastStd, Math.Sqrt(Math.Max(0, squares / count - mean * mean)));
        return new(a / n, lowMean, Std(lowSquares, a, lowMean), highMean, Std(highSquares, b, highMean));
    }

    /// Number of the lower values at the greatest variance between the two groups.
    static int OtsuSplit(double[] sorted)
    {
        double total = sorted.Sum(), below = 0, best = -1;
        int split = sorted.Length / 2;
        for (int k = 1; k < sorted.Length; k++)
        {
            below += sorted[k - 1];
            double gap = below / k - (total - below) / (sorted.Length - k), between = gap * gap * k * (sorted.Length - k);
            if (between > best) (best, split) = (between, k);
        }
        return split;
    }
}

/// <summary>How well a cleaning found what was wrong, where the truth is known.</summary>
/// <param name="Wrong">images under a label that is not theirs</param>
/// <param name="Dropped">images dropped for their cosine</param>
/// <param name="Found">images both wrong and dropped</param>
public sealed record CleaningAudit(int Wrong, int Dropped, int Found)
{
    /// <summary>Share of the dropped that were wrong; NaN where nothing was dropped.</summary>
    public double Precision => Found / (double)Dropped;
    /// <summary>Share of the wrong that were dropped; NaN where nothing was wrong.</summary>
    public double Recall => Found / (double)Wrong;

    /// <summary>
    /// An image is wrong when its true identity is not the owner of its label. Owners [labels] default to the labels
    /// themselves. Images dropped with their whole identity are not counted: nobody judged them.
    /// </summary>
    public static CleaningAudit PrecisionRecall(CleaningPlan plan, int[] labels, int[] trueLabels, int[]? owners = null)
    {
        bool IsWrong(int i) => (owners is null ? labels[i] : owners[labels[i]]) != trueLabels[i];
        var dropped = plan.Actions.Where(a => a.Step == CleaningStep.DropImage).Select(a => a.Image).ToArray();
        return new(Enumerable.Range(0, labels.Length).Count(IsWrong), dropped.Length, dropped.Count(IsWrong));
    }
}
