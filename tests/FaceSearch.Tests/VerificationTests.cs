using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using FaceSearch.Tests.Data;
using Xunit;

namespace FaceSearch.Tests;

public class VerificationTests
{
    /// 20 pairs of each kind in folds; the closer ones mostly of the same person.
    static (double[] Distances, bool[] Same, int[] Folds) Random(int n, int folds, ulong seed)
    {
        var same = Enumerable.Range(0, n).Select(i => i % 2 == 0).ToArray();
        var distances = same.Select((s, i) => Math.Clamp((s ? 1.0 : 1.6) + 0.4 * Noise.Normal(seed, 1, (ulong)i), 0, 4)).ToArray();
        return (distances, same, [.. Enumerable.Range(0, n).Select(i => i * folds / n)]);
    }

    [Theory]
    [InlineData(40, 2, 0.1)]
    [InlineData(601, 10, 0.01)]
    [InlineData(600, 10, 1e-3)]
    public void AgreesWithThePlainProtocol(int n, int folds, double far)
    {
        var (distances, same, fold) = Random(n, folds, (ulong)n);
        var fast = Verification.Evaluate(distances, same, fold, far);
        var accuracies = new List<double>();
        var tars = new List<double>();
        for (int k = 0; k < folds; k++)
        {
            var train = Enumerable.Range(0, n).Where(i => fold[i] != k).ToArray();
            var test = Enumerable.Range(0, n).Where(i => fold[i] == k).ToArray();
            double Accuracy(int[] rows, double t) => rows.Count(i => distances[i] < t == same[i]) / (double)rows.Length;
            double Far(int[] rows, double t) => rows.Count(i => !same[i] && distances[i] < t) / (double)rows.Count(i => !same[i]);
            int best = Enumerable.Range(0, 400).MaxBy(t => Accuracy(train, t * 0.01));
            accuracies.Add(Accuracy(test, best * 0.01));
            int reached = Enumerable.Range(0, 4000).First(t => Far(train, t * 0.001) >= far);
            double a = Far(train, (reached - 1) * 0.001), b = Far(train, reached * 0.001);
            double threshold = 0.001 * (reached - 1) + 0.001 * (far - a) / (b - a);
            tars.Add(test.Count(i => same[i] && distances[i] < threshold) / (double)test.Count(i => same[i]));
        }
        Assert.Equal(accuracies, fast.FoldAccuracies);
        Assert.Equal(accuracies.Average(), fast.Accuracy, 12);
        Assert.Equal(tars.Average(), fast.Tar, 12);
        Assert.Equal(Math.Sqrt(accuracies.Average(v => v * v) - accuracies.Average() * accuracies.Average()), fast.AccuracyStd, 9);
    }

    /// People with 1 to 5 images, every value on a coarse grid so that there are ties, against the sum over all fours of images.
    [Fact]
    public void AucOfAllWeighsPeopleAlike()
    {
        int[] labels = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4];
        const int d = 2;
        var embeddings = new float[labels.Length * d];
        for (int i = 0; i < labels.Length; i++)
        {
            double angle = 0.1 * Math.Round(10 * (0.5 * labels[i] + 0.6 * Noise.Normal(3, 1, (ulong)i)));
            (embeddings[2 * i], embeddings[2 * i + 1]) = ((float)Math.Cos(angle), (float)Math.Sin(angle));
        }
        var pairs = (from a in Enumerable.Range(0, labels.Length) from b in Enumerable.Range(0, a) select new Pair(a, b, labels[a] == labels[b], 0)).ToArray();
        var distances = Verification.Distances(embeddings, d, pairs);
        double Images(int i) => labels.Count(l => l == labels[i]);
        double Weight(Pair p) => p.Same ? 2 / (Images(p.A) * (Images(p.A) - 1)) : 1 / (Images(p.A) * Images(p.B));
        double wins = 0, all = 0;
        foreach (var (i, same) in pairs.Index().Where(p => p.Item.Same))
            foreach (var (j, other) in pairs.Index().Where(p => !p.Item.Same))
            {
                all += Weight(same) * Weight(other);
                wins += Weight(same) * Weight(other) * (distances[i] < distances[j] ? 1 : distances[i] == distances[j] ? 0.5 : 0);
            }
        double auc = Verification.AucOfAll(embeddings, d, labels);
        Assert.InRange(auc, 0.5, 0.95);
        Assert.Equal(wins / all, auc, 9);
    }

    [Fact]
    public void AucOfAllRefusesMorePairsThanItCanHold() =>
        Fails.With(() => Verification.AucOfAll(new float[Verification.MostOfAll + 1], 1, new int[Verification.MostOfAll + 1]), "Study.Score", "5001", "auc");

    [Fact]
    public void TiesTakeTheFirstBestThreshold()
    {
        // Perfectly apart: all thresholds in (0.5, 1.5] are right, the first of the grid is 0.51.
        double[] distances = [0.5, 1.5, 0.5, 1.5];
        var result = Verification.Evaluate(distances, [true, false, true, false], [0, 0, 1, 1], 0.5);
        Assert.Equal((1, 0.51, 1), (result.Accuracy, result.Threshold, result.Auc));
    }

    [Fact]
    public void EmbeddingsAreNormalised()
    {
        float[] e = [2, 0, 0, 3, -1, 0, 5, 5, 0, 0];
        Pair[] pairs = [new(0, 1, false, 0), new(0, 2, false, 0), new(0, 3, true, 0), new(0, 4, true, 0)];
        var d = Verification.Distances(e, 2, pairs);
        Assert.Equal(2, d[0], 12);
        Assert.Equal(4, d[1], 12);
        Assert.Equal(2 - Math.Sqrt(2), d[2], 12);
        Assert.Equal(double.PositiveInfinity, d[3]);
    }

    [Fact]
    public void AListSortedByKindIsInterleavedIntoFolds()
    {
        // One fold of LFW: all matched pairs first. Contiguous folds of one kind would have no meaning.
        int n = 100;
        var e = new float[2 * n * 2];
        var pairs = new Pair[n];
        for (int i = 0; i < n; i++)
        {
            double angle = (i < n / 2 ? 0.3 : 1.2) + 0.02 * (i % 10);
            (e[4 * i], e[4 * i + 2], e[4 * i + 3]) = (1, (float)Math.Cos(angle), (float)Math.Sin(angle));
            pairs[i] = new(2 * i, 2 * i + 1, i < n / 2, 5);
        }
        var result = Verification.Evaluate(e, 2, pairs);
        Assert.Equal(10, result.FoldAccuracies.Length);
        Assert.Equal((1, 1), (result.Accuracy, result.Tar));
        var two = Verification.Evaluate(e, 2, [.. pairs.Select((p, i) => p with { Fold = 3 + i % 2 })]);
        Assert.Equal(2, two.FoldAccuracies.Length);
    }

    [Fact]
    public void TarAtFarAndAucByHand()
    {
        double[] genuine = [0.9, 0.8, 0.5, 0.3], impostor = [0.1, 0.2, 0.4, 0.5, 0.85];
        Assert.Equal(0.25, Verification.TarAtFar(genuine, impostor, 0));
        Assert.Equal(0.5, Verification.TarAtFar(genuine, impostor, 0.2));
        Assert.Equal(0.75, Verification.TarAtFar(genuine, impostor, 0.4));
        Assert.Equal(1, Verification.TarAtFar(genuine, impostor, 1));
        // Pairs won: 5 + 4 + 3½ + 2 of 20.
        Assert.Equal(14.5 / 20, Verification.Auc(genuine, impostor), 12);
    }

    [Fact]
    public void PixelsOfRealFacesGiveTheKnownFigure()
    {
        var root = Data.RealFaces.Folder(".");
        var names = PairList.Read(Path.Combine(root, "pairs_att.txt"));
        var faces = ImageFolder.Load(Path.Combine(root, "att"), null, 48, 0);
        var set = PairList.Resolve(names, faces, "pairs_att.txt");
        var pixels = new float[set.Faces.Count * 48 * 48 * 3];
        Data.Pixels.Centre(set.Faces, 0, set.Faces.Count, 48, false, pixels);
        Assert.InRange(Verification.Evaluate(pixels, 48 * 48 * 3, set.Pairs).Accuracy, 0.75, 0.95);
    }
}
