using FaceSearch.Recognition.Data;

namespace FaceSearch.Recognition;

/// <summary>Figures of one verification, shares in 0..1, standard deviations over the folds (of the population).</summary>
/// <param name="Accuracy">mean over folds at the threshold that was best on the other folds</param>
/// <param name="AccuracyStd">its standard deviation over folds</param>
/// <param name="Tar">mean true-accept rate (LFW's VAL) at the threshold interpolated to the false-accept rate</param>
/// <param name="TarStd">its standard deviation over folds</param>
/// <param name="Far">mean false-accept rate that was really reached</param>
/// <param name="Auc">area under the ROC curve over all pairs</param>
/// <param name="Threshold">mean over folds of the squared distance below which two images are the same person</param>
/// <param name="FoldAccuracies">accuracy of each fold</param>
public sealed record VerificationResult(double Accuracy, double AccuracyStd, double Tar, double TarStd, double Far,
    double Auc, double Threshold, double[] FoldAccuracies);

/// <summary>
/// The LFW protocol (Huang et al. 2007) as the field computes it: L2-normalised embeddings, squared distance
/// d² = 2 − 2·cos, threshold of each fold chosen on the other folds. All in double precision.
/// </summary>
public static class Verification
{
    const int Folds = 10, Thresholds = 400, FineThresholds = 4000;

    /// <summary>Images of which <see cref="AucOfAll"/> holds all pairs: at most 12.5 million, 350 MB.</summary>
    public const int MostOfAll = 5000;

    /// <summary>
    /// Embeddings [n, d], not yet normalised (add those of the mirrored images before, if wanted). Folds are those of
    /// the list where it has two or more; otherwise 10 contiguous ones over an order in which both kinds of pairs
    /// alternate in proportion, each kind in the order of the list (a single LFW fold lists all matched pairs first).
    /// </summary>
    public static VerificationResult Evaluate(ReadOnlySpan<float> embeddings, int d, IReadOnlyList<Pair> pairs, double targetFar = 1e-3)
    {
        var (ordered, folds) = FoldsOf(pairs);
        var distances = Distances(embeddings, d, ordered);
        var same = Array.ConvertAll(ordered, p => p.Same);
        return Evaluate(distances, same, folds, targetFar);
    }

    /// <summary>Squared distances [n], kinds [n] and the fold of each pair, 0..k-1.</summary>
    internal static VerificationResult Evaluate(double[] distances, bool[] same, int[] folds, double targetFar)
    {
        int count = folds.Max() + 1;
        var accuracies = new double[count];
        var thresholds = new double[count];
        var tars = new double[count];
        var fars = new double[count];
        // Counts at threshold t: pairs with d² < t·step, of each fold, by kind.
        var coarse = new Curve(distances, same, folds, Thresholds, 0.01);
        var fine = new Curve(distances, same, folds, FineThresholds, 0.001);
        for (int k = 0; k < count; k++)
        {
            int best = coarse.BestOutside(k);
            accuracies[k] = coarse.Accuracy(k, best);
            thresholds[k] = best * 0.01;
            double threshold = fine.ThresholdAtFar(k, targetFar);
            (tars[k], fars[k]) = Rates(distances, same, folds, k, threshold);
        }
        var negated = Array.ConvertAll(distances, v => -v);
        double auc = Auc(Where(negated, same, true), Where(negated, same, false));
        return new(accuracies.Average(), Std(accuracies), tars.Average(), Std(tars), fars.Average(), auc, thresholds.Average(), accuracies);
    }

    /// <summary>
    /// Share of the genuine scores above the threshold that lets in at most the share <paramref name="far"/> of the
    /// impostor scores (higher = more alike): exact, no interpolation.
    /// </summary>
    public static double TarAtFar(IEnumerable<double> genuine, IEnumerable<double> impostor, double far)
    {
        var others = impostor.OrderDescending().ToArray();
        int allowed = (int)Math.Floor(far * others.Length + 1e-9);
        double threshold = allowed < others.Length ? others[allowed] : double.NegativeInfinity;
        return genuine.Select(g => g > threshold ? 1.0 : 0).DefaultIfEmpty(double.NaN).Average();
    }

    /// <summary>Chance that a genuine score is above an impostor score, ties counted half (Mann and Whitney 1947).</summary>
    public static double Auc(double[] genuine, double[] impostor)
    {
        var sorted = impostor.Order().ToArray();
        double sum = 0;
        foreach (double score in genuine) sum += (Below(sorted, score, orEqual: false) + Below(sorted, score, orEqual: true)) / 2.0;
        return sum / ((double)genuine.Length * impostor.Length);
    }

    /// <summary>
    /// Area under the ROC curve over all pairs of the rows of [n, d], weighted as lists of pairs are drawn: the same weight for
    /// every person with two images or more and, among the others' pairs, for every two people. What <see cref="Auc"/> of a drawn list
    /// tends to as the list grows.
    /// </summary>
    /// <exception cref="InputException">More than <see cref="MostOfAll"/> rows.</exception>
    public static double AucOfAll(ReadOnlySpan<float> embeddings, int d, ReadOnlySpan<int> labels)
    {
        int n = labels.Length, next = 0;
        CheckOfAll(n);
        var images = new Dictionary<int, double>();
        foreach (int label in labels) images[label] = images.GetValueOrDefault(label) + 1;
        var pairs = new Pair[n * (n - 1) / 2];
        for (int a = 0; a < n; a++)
            for (int b = a + 1; b < n; b++) pairs[next++] = new(a, b, labels[a] == labels[b], 0);
        var distances = Distances(embeddings, d, pairs);
        var order = Enumerable.Range(0, pairs.Length).ToArray();
        Array.Sort(distances, order);
        // From the nearest pair on: a pair of the same person wins against all impostor pairs that lie farther, half against its equals.
        double genuine = 0, impostors = 0, lost = 0;
        for (int i = 0, end; i < order.Length; i = end)
        {
            double here = 0, same = 0;
            for (end = i; end < order.Length && distances[end] == distances[i]; end++)
            {
                var pair = pairs[order[end]];
                double of = images[labels[pair.A]];
                if (pair.Same) same += 1 / (of * (of - 1) / 2);
                else here += 1 / (of * images[labels[pair.B]]);
            }
            lost += same * (impostors + here / 2);
            (genuine, impostors) = (genuine + same, impostors + here);
        }
        return 1 - lost / (genuine * impostors);
    }

    /// <exception cref="InputException">Too many images for <see cref="AucOfAll"/>.</exception>
    public static void CheckOfAll(int images)
    {
        if (images > MostOfAll)
            throw new InputException($"Study.Score: auc_all compares all pairs of at most {MostOfAll} photographs, and there are {images} to choose by; use auc, or hold out fewer people (Data.HoldOut, Data.Pairs)");
    }

    /// <summary>Squared distances of the L2-normalised rows of [n, d]; infinite where a row is no direction (zero or NaN).</summary>
    public static double[] Distances(ReadOnlySpan<float> embeddings, int d, IReadOnlyList<Pair> pairs)
    {
        var lengths = new double[embeddings.Length / d];
        for (int i = 0; i < lengths.Length; i++) lengths[i] = Math.Sqrt(Dot(embeddings.Slice(i * d, d), embeddings.Slice(i * d, d)));
        var distances = new double[pairs.Count];
        for (int i = 0; i < distances.Length; i++)
        {
            ReadOnlySpan<float> a = embeddings.Slice(pairs[i].A * d, d), b = embeddings.Slice(pairs[i].B * d, d);
            double la = lengths[pairs[i].A], lb = lengths[pairs[i].B], sum = 0;
            for (int j = 0; j < d; j++)
            {
                double difference = a[j] / la - b[j] / lb;
                sum += difference * difference;
            }
            distances[i] = double.IsNaN(sum) ? double.PositiveInfinity : sum;
        }
        return distances;
    }

    static (Pair[] Ordered, int[] Folds) FoldsOf(IReadOnlyList<Pair> pairs)
    {
        var named = pairs.Select(p => p.Fold).Distinct().Order().ToArray();
        if (named.Length >= 2) return ([.. pairs], [.. pairs.Select(p => Array.IndexOf(named, p.Fold))]);
        double sames = pairs.Count(p => p.Same), others = pairs.Count - sames;
        int s = 0, o = 0;
        Pair[] ordered = [.. pairs.Select(p => (Pair: p, At: p.Same ? (s++ + 0.5) / sames : (o++ + 0.5) / others))
            .OrderBy(p => p.At).ThenBy(p => p.Pair.Same ? 0 : 1).Select(p => p.Pair)];
        int count = Math.Min(Folds, ordered.Length);
        return (ordered, [.. Enumerable.Range(0, ordered.Length).Select(i => FoldOf(i, ordered.Length, count))]);
    }

    /// Contiguous folds, the first n mod k of them one longer (as scikit-learn's KFold).
    static int FoldOf(int i, int n, int k)
    {
        int size = n / k, longer = n % k, border = longer * (size + 1);
        return i < border ? i / (size + 1) : longer + (i - border) / size;
    }

    static (double Tar, double Far) Rates(double[] distances, bool[] same, int[] folds, int fold, double threshold)
    {
        int sames = 0, others = 0, accepted = 0, wrong = 0;
        for (int i = 0; i < distances.Length; i++)
        {
            if (folds[i] != fold) continue;
            bool accept = distances[i] < threshold;
            if (same[i]) { sames++; accepted += accept ? 1 : 0; }
            else { others++; wrong += accept ? 1 : 0; }
        }
        return (accepted / (double)Math.Max(sames, 1), wrong / (double)Math.Max(others, 1));
    }

    static int Below(double[] sorted, double value, bool orEqual)
    {
        int low = 0, high = sorted.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (sorted[middle] < value || orEqual && sorted[middle] == value) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    static double[] Where(double[] values, bool[] same, bool kind) => [.. values.Where((_, i) => same[i] == kind)];

    static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++) sum += (double)a[i] * b[i];
        return sum;
    }

    static double Std(double[] values)
    {
        double mean = values.Average();
        return Math.Sqrt(values.Average(v => (v - mean) * (v - mean)));
    }

    /// Accepted pairs at every threshold t·step, of each fold and of all, by kind.
    sealed class Curve
    {
        readonly int[,] sames, others;
        readonly int folds, count;
        readonly double step;

        public Curve(double[] distances, bool[] same, int[] fold, int count, double step)
        {
            (folds, this.count, this.step) = (fold.Max() + 1, count, step);
            // The last column, beyond all thresholds, completes the totals.
            (sames, others) = (new int[folds + 1, count + 1], new int[folds + 1, count + 1]);
            for (int i = 0; i < distances.Length; i++)
            {
                var table = same[i] ? sames : others;
                int first = First(distances[i]);
                table[fold[i], first]++;
                table[folds, first]++;
            }
            foreach (var table in new[] { sames, others })
                for (int k = 0; k <= folds; k++)
                    for (int t = 1; t <= count; t++) table[k, t] += table[k, t - 1];
        }

        /// First threshold that accepts the distance, by the very comparison d² < t·step.
        int First(double distance)
        {
            int t = (int)Math.Min(count, Math.Max(0, Math.Floor(Math.Min(distance, 8) / step) - 1));
            while (t < count && !(distance < t * step)) t++;
            return t;
        }

        public double Accuracy(int k, int t) =>
            (sames[k, t] + others[k, count] - others[k, t]) / (double)(sames[k, count] + others[k, count]);

        /// The first threshold of greatest accuracy on all folds but k.
        public int BestOutside(int k)
        {
            int best = 0, most = -1;
            for (int t = 0; t < count; t++)
            {
                int right = sames[folds, t] - sames[k, t] + others[folds, count] - others[k, count] - others[folds, t] + others[k, t];
                if (right > most) (best, most) = (t, right);
            }
            return best;
        }

        /// Linear interpolation of the threshold between the last below and the first at or above the rate; 0 if never reached.
        public double ThresholdAtFar(int k, double far)
        {
            double all = others[folds, count] - others[k, count];
            double Far(int t) => all == 0 ? 0 : (others[folds, t] - others[k, t]) / all;
            int reached = 0;
            while (reached < count && Far(reached) < far) reached++;
            if (reached == count || reached == 0) return 0;
            double below = Far(reached - 1);
            return step * (reached - 1 + (far - below) / (Far(reached) - below));
        }
    }
}
