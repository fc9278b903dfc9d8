using FaceSearch.Recognition;
using FaceSearch.Search;
using Xunit;

namespace FaceSearch.Tests.Search;

public class SpaceTests
{
    [Fact]
    public void PaperHasTheNineDecisionsOfTheLogs()
    {
        Assert.Equal([13, 7, 8, 8, 8, 14, 14, 10, 10], Spaces.Paper.Counts);
        Assert.Equal(13.0 * 7 * 8 * 8 * 8 * 14 * 14 * 10 * 10, Spaces.Paper.Size);
        var best = Spaces.Paper.Apply(new(), [3, 3, 0, 4, 5, 0, 0, 0, 0]);
        Assert.Equal(new HeadSettings { M2 = 0.22, M1 = 1.15, M3 = 0, TrueScale = 40, FalseScale = 48 }, best.Head);
        Assert.Equal((-1, 2, "mobilenetv2", 256, 112), (best.Clean.DropBelow, best.Clean.MergeAbove, best.Net.Kind, best.Net.Embedding, best.Data.Size));
        Assert.Equal([DecisionGroup.Loss, DecisionGroup.Data, DecisionGroup.Net], Spaces.Paper.Decisions.Select(d => d.Group).Distinct());
    }

    [Fact]
    public void HashNamesTheDesignAndNotTheOrder()
    {
        var space = Spaces.Mini;
        var turned = new Space("turned", [.. space.Decisions.Reverse()], [], 0);
        int[] actions = [2, 0, 3, 1, 5, 2, 1, 0, 3];
        Assert.Equal(space.Hash(actions), turned.Hash([.. actions.Reverse()]));
        var all = Enumerable.Range(0, 8).Select(drop => space.Hash([2, 0, 3, 1, drop, 2, 1, 0, 3]));
        Assert.Equal(8, all.Distinct().Count());
    }

    [Theory]
    [InlineData("decisions:\n  Head.M2x: [0, 1]", "search space 'mine': no setting 'Head.M2x'; nearest: Head.M2,")]
    [InlineData("decisions:\n  Head.M2: [0, 9]", "search space 'mine': Head.M2: 9 is out of range, expected 0 to 1.5 (additive angular margin in radians)")]
    [InlineData("decisions:\n  Head.Sample: [0.3, 0]", "search space 'mine': Head.Sample: 0 is out of range, expected 0.0001 to 1 (share of the identities")]
    [InlineData("decisions:\n  Head.M2: [0, 0]", "search space 'mine': decision Head.M2 lists the same option twice")]
    [InlineData("decisions:\n  Head.M2: []", "search space 'mine': decision Head.M2 has no options or an option that changes nothing")]
    [InlineData("decisions:\n  Head.M2: [0]\n  Both:\n    a: { Head.M2: 0.5 }", "search space 'mine': Head.M2 is decided twice; leave it in one decision")]
    [InlineData("decisions:\n  Data.Size: [48, 64]", "search space 'mine': Data.Size cannot be decided: faces and teacher are made once, for all trials; put it under shared")]
    [InlineData("decisons:\n  Head.M2: [0]", "mine.yaml line 1: unknown key 'decisons', expected name, target, shared, decisions")]
    [InlineData("decisions:\n  Head.M2: 3", "mine.yaml line 2: expected `key: value` lines")]
    [InlineData("decisions: [", "mine.yaml line 2: not YAML: ")]
    [InlineData("", "mine.yaml is empty; expected `decisions:` with path: [options]")]
    public void ErrorsTeach(string yaml, string message)
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("mine.yaml");
        File.WriteAllText(file, yaml);
        Assert.StartsWith(message, Assert.Throws<InputException>(() => Spaces.Find(file)).Message.Replace(folder.Path + Path.DirectorySeparatorChar, ""));
    }

    [Fact]
    public void ReadsOptionsThatChangeSeveralSettings()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("mine.yaml");
        File.WriteAllText(file, """
            target: 12.5
            shared: { Data.Size: 64 }
            decisions:
              Head.M2: [0, 0.25]
              Size:
                small: { Net.Width: 0.5, Net.Depth: 0.5 }
                large: { Net.Width: 1.5, Net.Depth: 2 }
            """);
        var space = Spaces.Find(file);
        var settings = space.Apply(new(), [1, 1]);
        Assert.Equal(("mine", 12.5, 64, 0.25, 1.5, 2.0), (space.Name, space.TargetMMacs, settings.Data.Size, settings.Head.M2, settings.Net.Width, settings.Net.Depth));
        Assert.Equal("Head.M2=0.25 Size=large", space.Describe([1, 1]));
        Assert.Equal(DecisionGroup.Net, space.Decisions[1].Group);
    }

    [Fact]
    public void NamesAnUnknownSpaceAndWrongActions()
    {
        Assert.Equal("no search space 'mni': expected mini, paper, or a YAML file with decisions (path: [options])",
            Assert.Throws<InputException>(() => Spaces.Find("mni")).Message);
        Assert.Equal("search space 'mini': [1,2] is not one option for each of its decisions [10,3,5,3,8,4,4,4,4]",
            Assert.Throws<InputException>(() => Spaces.Mini.Apply(new(), [1, 2])).Message);
    }
}
