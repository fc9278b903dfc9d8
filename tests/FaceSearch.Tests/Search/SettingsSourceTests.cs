using FaceSearch.Recognition;
using FaceSearch.Search;
using Xunit;

namespace FaceSearch.Tests.Search;

public class SettingsSourceTests
{
    static readonly Dictionary<string, string> Nothing = [];

    [Fact]
    public void LaterSourcesWin()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("study.yaml");
        File.WriteAllText(file, "Head:\n  M2: 0.1\n  TrueScale: 16\nStudy.Trials: 7\nSeed: 3\nData: { Folder: faces }\n");
        var environment = new Dictionary<string, string> { ["FACESEARCH_HEAD_M2"] = "0.2", ["FACESEARCH_STUDY_LAG"] = "9", ["FACESEARCH_FACES"] = "elsewhere", ["PATH"] = "" };
        var settings = SettingsSource.Load(new SearchSettings(), file, environment, ["Study.Lag=5", "head.falsescale = 24", "Data.Folder="]);
        Assert.Equal((0.2, 16, 24, 7, 5, 3, ""), (settings.Head.M2, settings.Head.TrueScale, settings.Head.FalseScale, settings.Study.Trials, settings.Study.Lag, settings.Seed, settings.Data.Folder));
    }

    [Theory]
    [InlineData("Head:\n  M2: 0.1\n  M4: 1", "study.yaml line 3: no setting 'Head.M4'; nearest: Head.M1, Head.M2, Head.M3")]
    [InlineData("Head.M2: much", "study.yaml line 1: Head.M2: 'much' is not a number (additive angular margin in radians)")]
    [InlineData("Seed: 1\nHead.M2: [1, 2]", "study.yaml line 2: Head.M2 is a list; expected one value")]
    [InlineData("Seed: 1\nSeed: 2", "study.yaml line 2: not YAML: ")]
    [InlineData("- Seed", "study.yaml line 1: expected `path: value` lines")]
    public void YamlErrorsHaveLines(string yaml, string message)
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("study.yaml");
        File.WriteAllText(file, yaml);
        var error = Assert.Throws<InputException>(() => SettingsSource.Load(new SearchSettings(), file, Nothing, []));
        Assert.StartsWith(message, error.Message.Replace(folder.Path + Path.DirectorySeparatorChar, ""));
    }

    [Fact]
    public void NamesTheVariableAndTheArgument()
    {
        Assert.StartsWith("environment variable FACESEARCH_HEAD_M7: no setting 'HEAD.M7'; nearest: Head.M1",
            Assert.Throws<InputException>(() => SettingsSource.Load(new SearchSettings(), null, new Dictionary<string, string> { ["FACESEARCH_HEAD_M7"] = "1" }, [])).Message);
        Assert.StartsWith("--set Study.Trials=0: Study.Trials: 0 is out of range, expected 1 to 1000000",
            Assert.Throws<InputException>(() => SettingsSource.Load(new SearchSettings(), null, Nothing, ["Study.Trials=0"])).Message);
        Assert.Equal("--set Seed: expected path=value, for example --set Head.M2=0.3",
            Assert.Throws<InputException>(() => SettingsSource.Load(new SearchSettings(), null, Nothing, ["Seed"])).Message);
        Assert.StartsWith("settings file no.yaml cannot be read: ",
            Assert.Throws<InputException>(() => SettingsSource.Load(new SearchSettings(), "no.yaml", Nothing, [])).Message);
    }

    [Fact]
    public void TextRoundTrips()
    {
        var settings = new SearchSettings { Seed = 5, Head = new() { M2 = 0.1 + 0.2 }, Study = new() { Rungs = "0.5,1" } };
        Assert.Equal(settings, SettingsSource.Parse(new SearchSettings(), SettingsSource.ToText(settings)));
    }

    [Fact]
    public void RunHoldsAllButTheStudy()
    {
        var settings = SettingsPath.All(new SearchSettings()).Where(e => e.Type == typeof(double))
            .Aggregate(new SearchSettings { Seed = 9 }, (s, e) => s.With(e.Path, e.Min));
        Assert.Equal(SettingsSource.ToText(settings).Where(s => !s.Key.StartsWith("Study.")).OrderBy(s => s.Key), SettingsSource.ToText(settings.Run).OrderBy(s => s.Key));
    }

    [Theory]
    [InlineData("1,0.5")]
    [InlineData("0.5,0.9")]
    [InlineData("a,1")]
    [InlineData("0,1")]
    public void RungsAreChecked(string rungs) =>
        Assert.Equal($"Study.Rungs: '{rungs}' is not a list of ascending shares that ends in 1, for example 0.25,0.5,1",
            Assert.Throws<InputException>(() => new StudySettings { Rungs = rungs }.RungShares()).Message);
}
