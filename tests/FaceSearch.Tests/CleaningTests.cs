using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using MathNet.Numerics.LinearAlgebra;
using Xunit;

namespace FaceSearch.Tests;

public class CleaningTests
{
    const int D = 20;

    /// Clusters of unit vectors around drawn directions; wrong labels at the rate, drawn.
    static (float[] Embeddings, int[] Labels, int[] Truth) Clusters(int identities, int images, double spread, double flips, ulong seed)
    {
        int n = identities * images;
        var truth = Enumerable.Range(0, n).Select(i => i / images).ToArray();
        var labels = truth.Select((t, i) => Noise.Uniform(seed, 1, (ulong)i) < flips ? (t + 1 + Noise.Below(identities - 1, seed, 2, (ulong)i)) % identities : t).ToArray();
        var e = new float[n * D];
        for (int i = 0; i < n; i++)
        {
            var v = Enumerable.Range(0, D).Select(j => Noise.Normal(seed, 3, (ulong)(truth[i] * D + j)) + spread * Noise.Normal(seed, 4, (ulong)(i * D + j))).ToArray();
            double length = Math.Sqrt(v.Sum(x => x * x));
            for (int j = 0; j < D; j++) e[i * D + j] = (float)(v[j] / length);
        }
        return (e, labels, truth);
    }

    [Fact]
    public void LeaveOneOutAgreesWithThePlainDefinition()
    {
        var (e, labels, _) = Clusters(5, 4, 0.7, 0.2, 1);
        var scores = Cleaning.LeaveOneOutScores(e, D, labels);
        // The definition: every other image of the label first, then only those that the first pass trusts.
        var first = Plain(_ => true);
        double wrong = Cleaning.BlindThreshold(first);
        Assert.InRange(wrong, -0.99, 0.99);
        var second = Plain(j => !(first[j] < wrong));
        for (int i = 0; i < labels.Length; i++) Assert.Equal(float.IsNaN(second[i]) ? first[i] : second[i], scores[i], 5);

        float[] Plain(Func<int, bool> trusted) => [.. labels.Select((label, i) =>
        {
            var others = Enumerable.Range(0, labels.Length).Where(j => j != i && labels[j] == label && trusted(j)).ToArray();
            var centre = Enumerable.Range(0, D).Select(k => others.Sum(j => (double)e[j * D + k])).ToArray();
            return others.Length == 0 ? float.NaN : (float)(Enumerable.Range(0, D).Sum(k => centre[k] * e[i * D + k]) / Math.Sqrt(centre.Sum(c => c * c)));
        })];
    }

    [Fact]
    public void OffMeansNothingIsDone()
    {
        var (e, labels, _) = Clusters(6, 5, 0.8, 0.3, 2);
        var plan = Cleaning.Plan(e, D, labels, new());
        Assert.Equal(Enumerable.Range(0, 30), plan.Kept);
        Assert.Equal(labels, plan.Labels);
        Assert.Empty(plan.Actions);
    }

    [Fact]
    public void ABlindThresholdFindsFlips()
    {
        var (e, labels, truth) = Clusters(60, 12, 0.7, 0.2, 3);
        double threshold = Cleaning.BlindThreshold(Cleaning.LeaveOneOutScores(e, D, labels));
        var plan = Cleaning.Plan(e, D, labels, new() { DropBelow = threshold });
        var audit = CleaningAudit.PrecisionRecall(plan, labels, truth);
        Assert.True(audit.Precision >= 0.9 && audit.Recall >= 0.8, $"{audit} at {threshold}");
        Assert.Equal(plan.DroppedImages, audit.Dropped);
        Assert.Equal(labels.Zip(truth).Count(p => p.First != p.Second), audit.Wrong);
        Assert.Equal(labels.Length - plan.DroppedImages, plan.Kept.Length);
    }

    [Fact]
    public void ABlindThresholdLeavesRightLabelsAlone()
    {
        var (e, labels, _) = Clusters(60, 12, 0.7, 0, 4);
        double threshold = Cleaning.BlindThreshold(Cleaning.LeaveOneOutScores(e, D, labels));
        Assert.True(Cleaning.Plan(e, D, labels, new() { DropBelow = threshold }).DroppedImages <= 0.05 * labels.Length);
        Assert.Equal(-1, Cleaning.BlindThreshold([float.NaN, 0.5f]));
    }

    /// Cosines as measured on photographs after one training: wrong labels like strangers, not far below the others; and
    /// hard but right faces, further below the others than those but no strangers; and one group alone.
    [Theory, InlineData(0.3, 0.2, 0.25, 0.65, true), InlineData(0.4, 0.8, 0.2, 1.3, false), InlineData(0, 0, 1, 0.1, false), InlineData(0, 0, 1, 0.7, false)]
    public void OnlyStrangersAreAGroupOfWrongLabels(double share, double low, double lowStd, double high, bool found)
    {
        double Normal(int i, ulong stream) => Noise.Normal(9, stream, (ulong)i);
        var scores = Enumerable.Range(0, 3000).Select(i => (float)Math.Tanh(i < share * 3000 ? low + lowStd * Normal(i, 1) : high + 0.25 * Normal(i, 1)));
        double threshold = Cleaning.BlindThreshold(scores);
        if (found) Assert.InRange(threshold, Math.Tanh(low), Math.Tanh(high));
        else Assert.Equal(-1, threshold);
    }

    [Fact]
    public void NearerToOthersAgreesWithThePlainDefinition()
    {
        var (raw, labels, _) = Clusters(5, 6, 0.7, 0.2, 1);
        int[][] Right(float[] embeddings, out float[] scores, out double wrong)
        {
            var (own, threshold) = (scores = Cleaning.LeaveOneOutScores(embeddings, D, labels), wrong = Cleaning.BlindThreshold(scores));
            return [.. Enumerable.Range(0, 5).Select(k => Enumerable.Range(0, labels.Length).Where(i => labels[i] == k && !(own[i] < threshold)).ToArray())];
        }
        var e = Whitening.Apply(raw, D, Right(raw, out _, out _));
        Right(e, out var scores, out double wrong);
        Assert.InRange(wrong, -0.99, 0.99);
        var centres = Enumerable.Range(0, 5).Select(k => Enumerable.Range(0, D)
            .Select(j => Enumerable.Range(0, labels.Length).Where(i => labels[i] == k && !(scores[i] < wrong)).Sum(i => (double)e[i * D + j])).ToArray()).ToArray();
        double Cosine(int i, double[] centre) => Enumerable.Range(0, D).Sum(j => centre[j] * e[i * D + j]) / Math.Sqrt(centre.Sum(c => c * c));
        var nearer = Cleaning.NearerToOthers(raw, D, labels);
        for (int i = 0; i < labels.Length; i++)
            Assert.Equal(centres.Where((_, k) => k != labels[i]).Max(c => Cosine(i, c)) - scores[i], nearer[i], 5);
        var plan = Cleaning.Plan(raw, D, labels, new() { DropNearer = 0.1 });
        Assert.Equal(Enumerable.Range(0, labels.Length).Where(i => nearer[i] <= 0.1), plan.Kept);
    }

    /// Cosines become those of the inner product xᵀ·C⁻¹·y, C the shrunk covariance within the identities.
    [Fact]
    public void WhiteningMeasuresByTheCovarianceWithinIdentities()
    {
        var (e, labels, _) = Clusters(7, 9, 0.7, 0, 2);
        var rows = labels.Select((label, i) => (label, i)).GroupBy(p => p.label, p => p.i).Select(g => g.ToArray()).ToArray();
        var x = Matrix<double>.Build.Dense(labels.Length, D, (i, j) => e[i * D + j]);
        var c = Matrix<double>.Build.Dense(D, D);
        foreach (var identity in rows)
        {
            var mean = identity.Select(x.Row).Aggregate((a, b) => a + b) / identity.Length;
            foreach (int i in identity) c += (x.Row(i) - mean).OuterProduct(x.Row(i) - mean) / labels.Length;
        }
        c = c * 0.9 + Matrix<double>.Build.DenseIdentity(D) * (0.1 * c.Trace() / D);
        var products = x * c.Inverse() * x.Transpose();
        var white = Whitening.Apply(e, D, rows);
        for (int a = 0; a < labels.Length; a++)
            for (int b = 0; b <= a; b++)
                Assert.Equal(products[a, b] / Math.Sqrt(products[a, a] * products[b, b]), Enumerable.Range(0, D).Sum(j => (double)white[a * D + j] * white[b * D + j]), 1e-6);
    }

    [Fact]
    public void ABlindDifferenceFindsFlips()
    {
        // Wider clusters than the cosine to the own centre can tell apart.
        var (e, labels, truth) = Clusters(60, 12, 1, 0.2, 3);
        double threshold = Cleaning.BlindNearer(Cleaning.NearerToOthers(e, D, labels));
        var audit = CleaningAudit.PrecisionRecall(Cleaning.Plan(e, D, labels, new() { DropNearer = threshold }), labels, truth);
        Assert.True(audit.Precision >= 0.9 && audit.Recall >= 0.8, $"{audit} at {threshold}");
    }

    [Fact]
    public void ABlindDifferenceLeavesRightLabelsAlone()
    {
        var (e, labels, _) = Clusters(60, 12, 1, 0, 4);
        double threshold = Cleaning.BlindNearer(Cleaning.NearerToOthers(e, D, labels));
        Assert.True(Cleaning.Plan(e, D, labels, new() { DropNearer = threshold }).DroppedImages <= 0.05 * labels.Length);
        Assert.Equal(2, Cleaning.BlindNearer([float.NaN, 0.5f]));
    }

    [Fact]
    public void SplitIdentitiesAreMergedUnderTheSmallestLabel()
    {
        var (e, truth, _) = Clusters(8, 12, 0.5, 0, 5);
        // Identity 3 goes under three labels, 3, 8 and 9; identity 6 under 6 and 10.
        var labels = truth.Select((t, i) => t == 3 ? new[] { 3, 8, 9 }[i % 3] : t == 6 && i % 2 == 0 ? 10 : t).ToArray();
        var plan = Cleaning.Plan(e, D, labels, new() { MergeAbove = 0.8 });
        Assert.Equal(truth, plan.Labels);
        Assert.Equal((8, 3, 0), (plan.Identities, plan.MergedIdentities, plan.DroppedIdentities));
        Assert.Equal(4 + 4 + 6, plan.Actions.Length);
        Assert.All(plan.Actions, a => Assert.True(a.Step == CleaningStep.MergeIdentity && a.Cosine >= 0.8 && a.To == truth[a.Image] && a.From == labels[a.Image]));
    }

    [Fact]
    public void StepsFollowInOrder()
    {
        // Label 0: two alike and one opposite; label 1: like label 0, alone; label 2: alone elsewhere.
        float[] e = [1, 0, 1, 0, -1, 0, 1, 0, 0, 1];
        int[] labels = [0, 0, 0, 1, 2];
        var plan = Cleaning.Plan(e, 2, labels, new() { DropBelow = -0.5, MergeAbove = 0.9, MinImages = 3 });
        // The opposite one is dropped; only then are the centres of 0 and 1 alike, and only together are they three.
        Assert.Equal([0, 1, 3], plan.Kept);
        Assert.Equal([0, 0, 0], plan.Labels);
        Assert.Equal([CleaningStep.DropImage, CleaningStep.MergeIdentity, CleaningStep.DropIdentity], plan.Actions.Select(a => a.Step));
        Assert.Equal((1, 1, 1), (plan.DroppedImages, plan.MergedIdentities, plan.DroppedIdentities));
    }

    [Fact]
    public void ImagesAloneHaveNoScoreAndAreKept()
    {
        var plan = Cleaning.Plan([1, 0, 0, 1], 2, [0, 1], new() { DropBelow = 1 });
        Assert.Equal([0, 1], plan.Kept);
        Assert.All(plan.Scores, s => Assert.True(float.IsNaN(s)));
    }

    [Fact]
    public void ThePlanAppliesToASet()
    {
        var faces = Synth.Generate(3, 4, 16, 0, 1);
        var e = new float[faces.Count * 3];
        for (int i = 0; i < faces.Count; i++) e[i * 3 + faces.Labels[i]] = 1;
        var labels = (int[])faces.Labels.Clone();
        labels[0] = 2;
        var noisy = faces.Subset([.. Enumerable.Range(0, faces.Count)], labels, faces.IdentityNames, faces.Owners);
        var clean = Cleaning.Plan(e, 3, labels, new() { DropBelow = 0.5 }).Apply(noisy);
        Assert.Equal(faces.Count - 1, clean.Count);
        Assert.Equal(clean.TrueLabels, clean.Labels);
        Assert.Same(faces.Images[1], clean.Images[0]);
    }
}
