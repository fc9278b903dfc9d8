using System.Text.Json;
using Xunit;

namespace FaceSearch.Tests.Cli;

/// <summary>One whole search of a few seconds, shared by the tests that look at what it left.</summary>
public sealed class WholeSearch : IDisposable
{
    public WholeSearch() => End = Program.Run(["search", .. Facesearch.Tiny]);

    internal Facesearch Program { get; } = new();
    internal Finished End { get; }

    internal string Fingerprint(string study)
    {
        using var json = JsonDocument.Parse(Program.Run("study", "export", study, "--format", "json").Ended(0).Out);
        return json.RootElement.GetProperty("Fingerprint").GetString()!;
    }

    public void Dispose() => Program.Dispose();
}

public sealed class SearchTests(WholeSearch search) : IClassFixture<WholeSearch>
{
    [Fact]
    public void EndsWithTheTwoLines()
    {
        var lines = search.End.Ended(0).Lines;
        Assert.Matches(@"^best=0\.\d{4} baseline=0\.\d{4} trials=4 seconds=\d+$", lines[^2]);
        Assert.Equal("report: " + Path.Combine("runs", "search", "search.html"), lines[^1]);
        Assert.Contains("</html>", File.ReadAllText(search.Program.In("runs/search/search.html")));
    }

    [Fact]
    public void LogsOneLineAnEventWithTheTimeToGo()
    {
        Assert.Contains(search.End.Lines, l => l.Contains("trial 0 started Scales=", StringComparison.Ordinal));
        Assert.Contains(search.End.Lines, l => l.Contains(" eta ") && l.Contains("trial 3 "));
        Assert.DoesNotContain('\u001b', search.End.Out);
    }

    [Fact]
    public void RunFolderRepeatsTheRun()
    {
        using var run = JsonDocument.Parse(File.ReadAllText(search.Program.In("runs/search/run.json")));
        Assert.StartsWith("facesearch search --set Data.SynthIdentities=24", run.RootElement.GetProperty("command").GetString());
        Assert.Equal(1, run.RootElement.GetProperty("seeds")[0].GetInt32());
        var settings = File.ReadAllLines(search.Program.In("runs/search/settings.yaml"));
        Assert.Contains("Study.Trials: 4", settings);
        Assert.Contains("Head.M2: 0.5", settings);
        var metrics = File.ReadAllLines(search.Program.In("runs/search/metrics.jsonl"));
        Assert.Equal(5, metrics.Count(m => JsonDocument.Parse(m).RootElement.GetProperty("kind").GetString() == "finished"));
    }

    [Fact]
    public void StudyIsListedShownAndExported()
    {
        var program = search.Program;
        Assert.Contains("search: 4 of 4 trials", program.Run("study", "list").Ended(0).Out);
        Assert.Contains("trial baseline complete", program.Run("study", "show", "search").Ended(0).Out);
        program.Run("study", "export", "search", "--out", "trials.csv").Ended(0);
        Assert.Equal(6, File.ReadAllLines(program.In("trials.csv")).Length);
        program.Run("report", "search", "--out", "again.html").Ended(0);
        Assert.Contains("</html>", File.ReadAllText(program.In("again.html")));
    }

    [Fact]
    public void SecondSearchOfTheNameIsRefused()
    {
        search.Program.Run("search").Refused("exists already", "--resume", "Study.Name");
        search.Program.Run("search", "--resume", "--set", "Head.M2=0.1").Refused("Head.M2", "0.5");
        search.Program.Run("train", "--resume", "--name", "search").Refused("is a search", "Study.Name=search");
    }

    [Fact]
    public void TheCheckpointOfTheWinnerIsEvaluated()
    {
        var output = search.Program.Run("evaluate", "runs/search/search.best.checkpoint", "--final").Ended(0).Out;
        Assert.Matches(@"accuracy 0\.\d{4} ± 0\.\d{4} over 10 folds", output);
        Assert.Matches(@"tar@far=0\.1 [01]\.\d{4}", output);
        Assert.Contains("tar@far=0.001 needs 1000 pairs", output);
    }

    /// A space may fix what faces are made with: the input size of the paper's, for example.
    [Fact]
    public void TheSpaceSetsTheSizeOfTheFaces()
    {
        File.WriteAllText(search.Program.In("larger.yaml"), "shared: { Data.Size: 32 }\ndecisions: { Net.Width: [0.5, 1] }\n");
        var end = search.Program.Run(["search", .. Facesearch.Tiny, "--set", "Study.Space=larger.yaml", "--set", "Study.Name=larger"]).Ended(0);
        Assert.Matches(@"^best=0\.\d{4} baseline=0\.\d{4} trials=2 ", end.Lines[^2]);
    }

    [Fact]
    public void StoppedAndResumedItIsTheSameStudy()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("needs SIGTERM");
        const int sigterm = 15;
        var stopped = search.Program.RunUntil("trial 1 started", sigterm, ["search", .. Facesearch.Tiny, "--set", "Study.Name=stopped"]).Ended(143);
        Assert.Matches("stopped; go on with: facesearch search .* --resume", stopped.Error);
        Assert.DoesNotContain("best=", stopped.Lines[^1]);
        var resumed = search.Program.Run("search", "--resume", "--set", "Study.Name=stopped").Ended(0);
        Assert.StartsWith("best=", resumed.Lines[^2]);
        Assert.Equal(search.Fingerprint("search"), search.Fingerprint("stopped"));
    }

    [Fact]
    public void TheLastTrainingGoesOnWhereItWasStopped()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("needs SIGTERM");
        const int sigterm = 15;
        search.Program.RunUntil("last: step", sigterm,
            ["search", .. Facesearch.Tiny, "--set", "Study.Name=last", "--set", "Study.Score=auc_all", "--set", "Study.Refit=true", "--set", "Study.Last=Train.Budget=0.6 Train.Warp=0.1"]).Ended(143);
        Assert.True(File.Exists(search.Program.In("runs/last/last.last.checkpoint")));
        var resumed = search.Program.Run("search", "--resume", "--set", "Study.Name=last").Ended(0);
        Assert.Contains(resumed.Lines, l => l.Contains("last: accuracy 0.", StringComparison.Ordinal));
        // 18 of 24 people, and those they were chosen by.
        Assert.Contains(resumed.Lines, l => l.Contains("faces once nothing is left to choose: ", StringComparison.Ordinal));
        Assert.Contains("on the people of the choosing pairs as well", File.ReadAllText(search.Program.In("runs/last/last.html")));
        Assert.Contains("Train.Budget=0.6 Train.Warp=0.1", File.ReadAllText(search.Program.In("runs/last/last.html")));
    }
}
