using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using Xunit;

namespace FaceSearch.Tests.Data;

public class SynthTests
{
    [Fact]
    public void SameSeedSameFacesOtherSeedOtherFaces()
    {
        var first = Synth.Generate(6, 12, 48, 4, 1);
        Assert.Equal(first.ContentHash, Synth.Generate(6, 12, 48, 4, 1).ContentHash);
        Assert.NotEqual(first.ContentHash, Synth.Generate(6, 12, 48, 4, 2).ContentHash);
        Assert.Equal(56, first.Side);
        Assert.All(first.Labels.CountBy(k => k), g => Assert.InRange(g.Value, 10, 14));
    }

    [Fact]
    public void EveryMachineDrawsTheSameFaces() =>
        Assert.StartsWith(Hash, Synth.Generate(3, 4, 16, 1, 7).ContentHash);

    /// Changes with the generator only: a machine on which it differs draws other faces.
    const string Hash = "b76ebcc15003fe4d";

    [Fact]
    public void RawPixelsVerifyPoorlyButNotBlindly()
    {
        var data = FaceData.Load(new Settings());
        int size = 48, d = 3 * size * size;
        var pixels = new float[data.Choose.Faces.Count * d];
        Pixels.Centre(data.Choose.Faces, 0, data.Choose.Faces.Count, size, mirror: false, pixels);
        var result = Verification.Evaluate(pixels, d, data.Choose.Pairs);
        Assert.InRange(result.Accuracy, 0.56, 0.74);
    }

    [Fact]
    public void ExportReadsBackWithLabelsAndTruth()
    {
        using var folder = new TemporaryFolder();
        var faces = LabelNoise.Inject(Synth.Generate(4, 6, 32, 0, 3), 0.3, 0, 0, 3);
        Synth.Export(faces, folder.Path);
        var read = ImageFolder.Load(folder.Path, null, 32, 0);
        Assert.Equal(faces.Count, read.Count);
        Assert.Equal(faces.IdentityNames, read.IdentityNames);
        var truth = File.ReadAllLines(folder.At("truth.csv")).Skip(1).Select(l => l.Split(',')).ToDictionary(f => f[0], f => int.Parse(f[2]));
        for (int i = 0; i < read.Count; i++)
            Assert.Contains(Enumerable.Range(0, faces.Count), j => faces.Images[j].AsSpan().SequenceEqual(read.Images[i]) && faces.TrueLabels![j] == truth[read.Sources[i]]);
    }

    [Theory]
    [InlineData(0.2, 0, 0)]
    [InlineData(0, 0.25, 0)]
    [InlineData(0, 0, 0.2)]
    [InlineData(0.2, 0.1, 0.1)]
    public void NoiseIsInjectedAtTheStatedRates(double flips, double splits, double merges)
    {
        var clean = Synth.Generate(40, 12, 16, 0, 5);
        var noisy = LabelNoise.Inject(clean, flips, splits, merges, 5);
        Assert.Equal(40 + (int)(40 * splits) - (int)(40 * merges), noisy.Identities);
        Assert.Equal(noisy.Identities, noisy.Labels.Distinct().Count());
        Assert.Equal(clean.Labels, noisy.TrueLabels);
        int wrong = Enumerable.Range(0, noisy.Count).Count(i => noisy.Owners![noisy.Labels[i]] != noisy.TrueLabels![i]);
        int merged = clean.Labels.Count(k => !noisy.Owners!.Contains(k));
        // A flip may, between the halves of a split identity, keep the owner.
        Assert.InRange(wrong, flips * clean.Count + merged * (1 - flips) - 8, flips * clean.Count + merged + 1);
        Assert.Equal((int)(40 * splits), noisy.Owners!.Length - noisy.Owners.Distinct().Count());
        if (flips == 0) Assert.Equal(merged, wrong);
        Assert.Equal(noisy.Labels, LabelNoise.Inject(clean, flips, splits, merges, 5).Labels);
    }
}
