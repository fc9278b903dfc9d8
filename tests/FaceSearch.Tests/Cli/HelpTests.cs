using Xunit;

namespace FaceSearch.Tests.Cli;

public sealed class HelpTests : IDisposable
{
    readonly Facesearch program = new();

    [Theory]
    [InlineData("search")]
    [InlineData("train")]
    [InlineData("evaluate")]
    [InlineData("clean")]
    [InlineData("data synth")]
    [InlineData("data inspect")]
    [InlineData("data")]
    [InlineData("study")]
    [InlineData("study list")]
    [InlineData("study show")]
    [InlineData("study export")]
    [InlineData("report")]
    [InlineData("profile")]
    [InlineData("profile train")]
    [InlineData("profile head")]
    [InlineData("profile op")]
    [InlineData("doctor")]
    [InlineData("settings")]
    public void HelpOfEveryVerbEndsWithExamples(string verb)
    {
        var help = program.Run([.. verb.Split(' '), "--help"]).Ended(0).Out;
        Assert.Contains("Description:", help);
        Assert.Single(help.Split('\n'), line => line.Contains("Show this help"));
        Assert.Contains($"facesearch {verb}", help[help.IndexOf("Examples:", StringComparison.Ordinal)..]);
    }

    [Fact]
    public void NothingSaidShowsTheHelpAndIsWrongUsage() => Assert.Contains("search", program.Run().Ended(2).Out);

    [Fact]
    public void WrongUsageIsToldWithCodeTwo()
    {
        var end = program.Run("search", "--nope").Ended(2);
        Assert.Contains("--nope", end.Error);
        Assert.Contains("facesearch search --help", end.Error);
    }

    [Fact]
    public void SettingsAreListedWithRangeAndMeaningAndReadBackAsYaml()
    {
        var lines = program.Run("settings").Ended(0).Lines;
        Assert.Contains(lines, l => l.StartsWith("Head.M2", StringComparison.Ordinal) && l.Contains("0 .. 1.5") && l.Contains("radians"));
        Assert.Contains(lines, l => l.StartsWith("Study.Trials", StringComparison.Ordinal));
        var yaml = program.Run("settings", "--yaml", "--set", "Head.M2=0.3", "--set", "Data.Folder=it's mine").Ended(0).Out;
        File.WriteAllText(program.In("mine.yaml"), yaml);
        Assert.Equal(yaml, program.Run("settings", "--yaml", "--config", "mine.yaml").Ended(0).Out);
        Assert.Contains("Head.M2: 0.3", yaml);
    }

    [Fact]
    public void DoctorTellsInstructionsPlacesAndRates()
    {
        var output = program.Run("doctor").Ended(0).Out;
        foreach (var word in (string[])["threads", "is used", "runs", "writable", "GF/s", "GB/s", "of the roof"]) Assert.Contains(word, output);
        Assert.False(Directory.Exists(program.In("runs")));
    }

    public void Dispose() => program.Dispose();
}
