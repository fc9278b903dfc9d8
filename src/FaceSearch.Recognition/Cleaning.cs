using System.Runtime.Intrinsics;
using FaceSearch.Recognition.Data;

namespace FaceSearch.Recognition;

public enum CleaningStep { DropImage, MergeIdentity, DropIdentity }

/// <summary>What was done to an image: dropped (To = -1), or moved from one label to another, and the cosine that decided.</summary>
public readonly record struct CleaningAction(int Image, CleaningStep Step, double Cosine, int From, int To);

/// <summary>Which images are kept under which labels, and everything that was done.</summary>
/// <param name="Kept">rows of the set, ascending</param>
/// <param name="Labels">[Kept] new labels 0..Identities-1</param>
/// <param name="Roots">[Identities] the old label that names each new identity</param>
/// <param name="Scores">[n] cosine to the leave-one-out centre; NaN for images alone under their label</param>
/// <param name="Actions">in the order of the steps, then of the images; labels are those of the set before</param>
public sealed record CleaningPlan(int[] Kept, int[] Labels, int[] Roots, float[] Scores, CleaningAction[] Actions)
{
    public int Identities => Roots.Length;
    public int DroppedImages => Actions.Count(a => a.Step == CleaningStep.DropImage);
    public int MergedIdentities => Actions.Where(a => a.Step == CleaningStep.MergeIdentity).Select(a => a.From).Distinct().Count();
    public int DroppedIdentities { get; init; }

    /// <summary>The cleaned set; pixels are shared with the old one.</summary>
    public FaceSet Apply(FaceSet faces) => faces.Subset(Kept, Labels,
        Array.ConvertAll(Roots, k => faces.IdentityNames[k]),
        faces.Owners is null ? null : Array.ConvertAll(Roots, k => faces.Owners[k]));
}

/// <summary>
/// Cleaning by a teacher's embeddings: drop images far from the centre of the others under their label or clearly nearer
/// to another label's, merge labels whose centres are close, drop labels with few images. The leave-one-out centre finds
/// wrong labels better than a centre that contains the image itself (the image pulls its own centre). A flipped image is
/// both far from its label and near its true identity, so where that identity is among the labels the difference finds
/// it better than the cosine alone; strangers and blurred faces are found by the cosine.
/// </summary>
public static class Cleaning
{
    /// <summary>
    /// Embeddings [n, d], rows of length 1; labels [n] ≥ 0. Order of the steps: drop images, centres anew, merge
    /// (transitively: union-find over all pairs of centres), drop identities. Deterministic, O(n·d + identities²·d).
    /// </summary>
    public static CleaningPlan Plan(float[] embeddings, int d, int[] labels, CleanSettings settings)
    {
        var rows = RowsByLabel(labels);
        var scores = Scores(embeddings, d, rows, labels.Length);
        var excess = settings.DropNearer < 2 ? Excess(embeddings, d, rows, scores) : null;
        var actions = new List<CleaningAction>();
        var keep = new bool[labels.Length];
        for (int i = 0; i < labels.Length; i++)
        {
            keep[i] = (settings.DropBelow <= -1 || !(scores[i] < settings.DropBelow)) && !(excess?[i] > settings.DropNearer);
            if (!keep[i]) actions.Add(new(i, CleaningStep.DropImage, scores[i], labels[i], -1));
        }

        var alive = Array.ConvertAll(rows, r => Array.FindAll(r, i => keep[i]));
        var root = Enumerable.Range(0, rows.Length).ToArray();
        if (settings.MergeAbove <= 1) root = Merge(embeddings, d, alive, settings.MergeAbove, actions);

        var images = new int[rows.Length];
        for (int k = 0; k < rows.Length; k++) images[root[k]] += alive[k].Length;
        for (int i = 0; i < labels.Length; i++)
        {
            if (!keep[i] || images[root[labels[i]]] >= settings.MinImages) continue;
            keep[i] = false;
            actions.Add(new(i, CleaningStep.DropIdentity, double.NaN, labels[i], -1));
        }
        var kept = Enumerable.Range(0, labels.Length).Where(i => keep[i]).ToArray();
        var (roots, contiguous) = FaceSet.Contiguous(Array.ConvertAll(kept, i => root[labels[i]]), rows.Length);
        int before = Enumerable.Range(0, rows.Length).Where(k => rows[k].Length > 0).Select(k => root[k]).Distinct().Count();
        return new(kept, contiguous, roots, scores, [.. actions]) { DroppedIdentities = before - roots.Length };
    }

    /// <summary>
    /// [n] cosine of each image to the normalised mean of the other images of its label, those left out that look wrong
    /// themselves (by <see cref="BlindThreshold"/> of a first pass); NaN where there is no other.
    /// </summary>
    public static float[] LeaveOneOutScores(float[] embeddings, int d, int[] labels) =>
        Scores(embeddings, d, RowsByLabel(labels), labels.Length);

    /// <summary>
    /// A drop threshold from the leave-one-out cosines alone, without any truth: two normal distributions are fitted to
    /// artanh(cos) by expectation-maximisation (Fisher 1915: cosines near 1 are skewed, their artanh is not), and the
    /// threshold is where an image is as likely wrong as right. −1 (off) where no group of wrong labels is to be seen. Those
    /// are as near to their centre as strangers are, whose cosines are about 0, so the lower group must lie nearer to 0
    /// than to the higher one. How far apart the two stand says less: a first training on noisy labels leaves them at an
    /// Ashman's D (Ashman et al. 1994) around 2, and hard right images come near that; 1.5 is what one group never reaches.
    /// </summary>
    public static double BlindThreshold(IEnumerable<float> scores) =>
        Mixture.Fit(scores.Where(float.IsFinite).Select(s => Math.Atanh(Math.Clamp(s, -0.999, 0.999)))) is { Apart: >= 1.5 } fit && fit.LowMean < fit.HighMean / 2 ? Math.Tanh(fit.Crossing()) : -1;

    /// <summary>
    /// [n] by how much the cosine of each image to the nearest centre of another label exceeds that to its own leave-one-out
    /// centre, after <see cref="Whitening"/>: positive where it looks more like somebody else. NaN for images alone under
    /// their label. O(n·identities·d + n·d²).
    /// </summary>
    public static float[] NearerToOthers(float[] embeddings, int d, int[] labels)
    {
        var rows = RowsByLabel(labels);
        return Excess(embeddings, d, rows, Scores(embeddings, d, rows, labels.Length));
    }

    /// <summary>
    /// A Clean.DropNearer from these differences alone: of two normal distributions, where wrong is
    /// <see cref="OddsToDrop"/> times as likely as right. The right images' distribution has a long tail towards the
    /// wrong ones (hard poses are near to many), which at even odds would be dropped with them. 2 (off) when the two do
    /// not stand apart (Ashman's D below 2).
    /// </summary>
    public static double BlindNearer(IEnumerable<float> nearer) =>
        Mixture.Fit(nearer.Where(float.IsFinite).Select(v => -(double)v)) is { Apart: >= 2 } fit ? Math.Clamp(-fit.Crossing(OddsToDrop / (1 + OddsToDrop)), 0, 2) : 2;

    const double OddsToDrop = 9;

    static int[][] RowsByLabel(int[] labels)
    {
        var counts = new int[labels.Length == 0 ? 0 : labels.Max() + 1];
        foreach (int label in labels) counts[label]++;
        var rows = Array.ConvertAll(counts, n => new int[n]);
        Array.Clear(counts);
        for (int i = 0; i < labels.Length; i++) rows[labels[i]][counts[labels[i]]++] = i;
        return rows;
    }

    /// Two passes: images that look wrong against all others are kept out of the centres of the second pass.
    static float[] Scores(float[] embeddings, int d, int[][] rows, int n)
    {
        var scores = new float[n];
        Array.Fill(scores, float.NaN);
        Score(embeddings, d, rows, rows, scores);
        Score(embeddings, d, rows, Trusted(rows, scores), scores);
        return scores;
    }

    /// The rows of each label that do not look wrong by their scores; all where no wrong ones are to be seen.
    static int[][] Trusted(int[][] rows, float[] scores) =>
        BlindThreshold(scores) is var wrong && wrong > -1 ? Array.ConvertAll(rows, r => Array.FindAll(r, i => !(scores[i] < wrong))) : rows;

    static float[] Excess(float[] embeddings, int d, int[][] rows, float[] scores)
    {
        embeddings = Whitening.Apply(embeddings, d, Trusted(rows, scores));
        scores = Scores(embeddings, d, rows, scores.Length);
        var trusted = Trusted(rows, scores);
        var centres = Centres(embeddings, d, trusted, out int padded);
        var excess = new float[scores.Length];
        Parallel.For(0, rows.Length, k =>
        {
            var row = new float[padded];
            foreach (int i in rows[k])
            {
                embeddings.AsSpan(i * d, d).CopyTo(row);
                float nearest = -1;
                for (int other = 0; other < rows.Length; other++)
                    if (other != k && trusted[other].Length > 0) nearest = Math.Max(nearest, Dot(row, 0, centres, other * padded, padded));
                excess[i] = nearest - scores[i];
            }
        });
        return excess;
    }

    /// Cosine of each image to the centre of the other trusted ones under its label; where there is none the score stays.
    static void Score(float[] embeddings, int d, int[][] rows, int[][] trusted, float[] scores) => Parallel.For(0, rows.Length, k =>
    {
        var sum = Sum(embeddings, d, trusted[k]);
        foreach (int i in rows[k])
        {
            bool own = Array.BinarySearch(trusted[k], i) >= 0;
            if (trusted[k].Length - (own ? 1 : 0) < 1) continue;
            double dot = 0, square = 0;
            for (int j = 0; j < d; j++)
            {
                double x = embeddings[(long)i * d + j], others = own ? sum[j] - x : sum[j];
                dot += x * others;
                square += others * others;
            }
            scores[i] = square > 0 ? (float)(dot / Math.Sqrt(square)) : 0;
        }
    });

    static double[] Sum(float[] embeddings, int d, int[] rows)
    {
        var sum = new double[d];
        foreach (int i in rows)
            for (int j = 0; j < d; j++) sum[j] += embeddings[(long)i * d + j];
        return sum;
    }

    /// Union-find over all pairs of centres; the root is the smallest label. An image's action carries the greatest
    /// cosine of its old label to another label of the union.
    static int[] Merge(float[] embeddings, int d, int[][] alive, double above, List<CleaningAction> actions)
    {
        var centres = Centres(embeddings, d, alive, out int padded);
        var edges = new List<(int B, float Cosine)>[alive.Length];
        Parallel.For(0, alive.Length, a =>
        {
            edges[a] = [];
            if (alive[a].Length == 0) return;
            for (int b = a + 1; b < alive.Length; b++)
                if (alive[b].Length > 0 && Dot(centres, a * padded, centres, b * padded, padded) is var cosine && cosine >= above) edges[a].Add((b, cosine));
        });
        var root = Enumerable.Range(0, alive.Length).ToArray();
        var closest = new float[alive.Length];
        Array.Fill(closest, float.MinValue);
        int Root(int k)
        {
            while (root[k] != k) k = root[k] = root[root[k]];
            return k;
        }
        for (int a = 0; a < alive.Length; a++)
            foreach (var (b, cosine) in edges[a])
            {
                int low = Math.Min(Root(a), Root(b)), high = Math.Max(Root(a), Root(b));
                root[high] = low;
                closest[a] = Math.Max(closest[a], cosine);
                closest[b] = Math.Max(closest[b], cosine);
            }
        for (int k = 0; k < alive.Length; k++)
        {
            root[k] = Root(k);
            if (root[k] != k) actions.AddRange(alive[k].Select(i => new CleaningAction(i, CleaningStep.MergeIdentity, closest[k], k, root[k])));
        }
        return root;
    }

    static float[] Centres(float[] embeddings, int d, int[][] alive, out int padded)
    {
        int width = padded = (d + 7) / 8 * 8;
        var centres = new float[alive.Length * width];
        Parallel.For(0, alive.Length, k =>
        {
            var sum = Sum(embeddings, d, alive[k]);
            double length = Math.Sqrt(sum.Sum(v => v * v));
            for (int j = 0; j < d && length > 0; j++) centres[k * width + j] = (float)(sum[j] / length);
        });
        return centres;
    }

    /// Eight lanes whatever the machine, multiply then add: the same bits everywhere.
    static float Dot(float[] x, int a, float[] y, int b, int n)
    {
        var sum = Vector256<float>.Zero;
        for (int j = 0; j < n; j += 8)
            sum += Vector256.LoadUnsafe(ref x[a + j]) * Vector256.LoadUnsafe(ref y[b + j]);
        return Vector256.Sum(sum);
    }
}
