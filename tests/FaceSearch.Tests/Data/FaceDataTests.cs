using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using Xunit;

namespace FaceSearch.Tests.Data;

public class FaceDataTests
{
    static readonly Settings Small = new() { Data = new() { SynthIdentities = 30, SynthImages = 12, Size = 16, Margin = 2, HoldOut = 0.2, HoldOutPairs = 200 } };

    [Fact]
    public void NobodyIsInTwoParts()
    {
        var data = FaceData.Load(Small);
        var parts = new[] { data.Train.Owners!.Distinct().Count(), data.Choose.Faces.Identities, data.Final.Faces.Identities };
        Assert.Equal(30, data.Train.TrueLabels!.Concat(data.Choose.Faces.TrueLabels!).Concat(data.Final.Faces.TrueLabels!).Distinct().Count());
        Assert.Equal(6, parts[1]);
        Assert.Equal(6, parts[2]);
        Assert.Empty(data.Train.TrueLabels!.Intersect(data.Choose.Faces.TrueLabels!));
        Assert.Empty(data.Train.TrueLabels!.Intersect(data.Final.Faces.TrueLabels!));
        Assert.Empty(data.Choose.Faces.TrueLabels!.Intersect(data.Final.Faces.TrueLabels!));
    }

    [Fact]
    public void ARefitTakesThoseChosenByAndNobodyKeptForTheEnd()
    {
        FaceData data = FaceData.Load(Small), refit = FaceData.Load(Small, refit: true);
        Assert.Equal(data.Choose.Faces.ContentHash, refit.Choose.Faces.ContentHash);
        Assert.Equal(data.Final.Faces.ContentHash, refit.Final.Faces.ContentHash);
        Assert.Equal(data.Train.TrueLabels!.Concat(data.Choose.Faces.TrueLabels!).Distinct().Order(), refit.Train.TrueLabels!.Distinct().Order());
        Assert.Empty(refit.Train.TrueLabels!.Intersect(refit.Final.Faces.TrueLabels!));
    }

    [Fact]
    public void ARefitOnPhotographsTakesAllThoseOfThePeopleInThePairs()
    {
        using var folder = new TemporaryFolder();
        for (int k = 0; k < 8; k++)
            for (int i = 1; i <= 3; i++) folder.Picture($"p{k}/p{k}_{i:0000}.png", tint: k * 4 + i);
        var settings = new Settings
        {
            Data = new()
            {
                Folder = folder.Path, Size = 16, People = folder.Write("people.txt", "p0\np1\np2\np7\n"),
                Pairs = folder.Write("choose.txt", "1\np2\t1\t2\np2\t1\tp3\t2\n"), FinalPairs = folder.Write("final.txt", "1\np4\t1\t2\np4\t1\tp7\t2\n"),
            },
        };
        Assert.Equal(["p0", "p1"], FaceData.Load(settings).Train.IdentityNames);
        var refit = FaceData.Load(settings, refit: true).Train;
        Assert.Equal(["p0", "p1", "p2", "p3"], refit.IdentityNames);
        Assert.Equal(12, refit.Count);
    }

    [Fact]
    public void DrawnPairsAreRightBalancedAndDistinct()
    {
        var (faces, pairs) = FaceData.Load(Small).Choose;
        Assert.Equal(200, pairs.Length);
        Assert.Equal(100, pairs.Count(p => p.Same));
        Assert.All(pairs, p => Assert.True(p.A != p.B && faces.Labels[p.A] == faces.Labels[p.B] == p.Same));
        Assert.Equal(200, pairs.Select(p => (Math.Min(p.A, p.B), Math.Max(p.A, p.B))).Distinct().Count());
    }

    [Fact]
    public void SeedsAloneDecide()
    {
        FaceData a = FaceData.Load(Small), b = FaceData.Load(Small), c = FaceData.Load(Small with { Seed = 2 });
        Assert.Equal(a.Train.ContentHash, b.Train.ContentHash);
        Assert.Equal(a.Final.Pairs, b.Final.Pairs);
        Assert.NotEqual(a.Train.ContentHash, c.Train.ContentHash);
    }

    [Fact]
    public void FlipsOnPhotographsKeepTheTruth()
    {
        using var folder = new TemporaryFolder();
        for (int k = 0; k < 10; k++)
            for (int i = 0; i < 4; i++) folder.Picture($"p{k}/{i}.png", tint: k * 4 + i);
        var data = FaceData.Load(new Settings { Data = new() { Folder = folder.Path, Size = 16, HoldOut = 0.2, HoldOutPairs = 20, Flips = 0.25 } });
        Assert.Equal(24, data.Train.Count);
        Assert.Equal(6, Enumerable.Range(0, 24).Count(i => data.Train.Owners![data.Train.Labels[i]] != data.Train.TrueLabels![i]));
        Assert.Equal(data.Choose.Faces.Labels.Length, data.Choose.Faces.Labels.Index().Count(l => data.Choose.Faces.Sources[l.Index].StartsWith(data.Choose.Faces.IdentityNames[l.Item] + "/", StringComparison.Ordinal)));
    }

    [Fact]
    public void TooFewPeopleIsAnError()
    {
        using var folder = new TemporaryFolder();
        folder.Picture("only/1.png");
        folder.Picture("only/2.png");
        Fails.With(() => FaceData.Load(new Settings { Data = new() { Folder = folder.Path } }), "Data.HoldOut", "Data.Pairs");
        Fails.With(() => FaceData.Load(new Settings { Data = new() { Folder = folder.Path, PeopleSets = "1" } }), "Data.PeopleSets", "Data.People");
    }

    [Fact]
    public void PeopleNamedInPairsAreNeverTrainedOn()
    {
        var root = RealFaces.Folder(".");
        var data = FaceData.Load(new Settings
        {
            Data = new()
            {
                Folder = Path.Combine(root, "lfw"), Crop = "59,50,132,132", Size = 16, People = Path.Combine(root, "people.txt"), PeopleSets = "4-5",
                Pairs = Path.Combine(root, "pairs_train.txt"), PairsFold = 5, HoldOutPairs = 200,
            },
        });
        var names = data.Choose.Faces.IdentityNames.ToHashSet();
        Assert.Equal(600, data.Choose.Pairs.Length);
        Assert.Empty(data.Train.IdentityNames.Intersect(names));
        Assert.Empty(data.Train.IdentityNames.Intersect(data.Final.Faces.IdentityNames));
        Assert.Empty(data.Skipped);
        var set4 = PeopleList.Read(Path.Combine(root, "people.txt"), "4");
        Assert.True(data.Train.IdentityNames.Intersect(set4).Count() > 350);
        Assert.NotEmpty(data.Train.IdentityNames.Except(set4));
    }
}
