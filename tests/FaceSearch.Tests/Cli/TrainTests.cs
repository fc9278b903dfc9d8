using System.Text.RegularExpressions;
using Xunit;

namespace FaceSearch.Tests.Cli;

public sealed class TrainTests : IDisposable
{
    readonly Facesearch program = new();

    [Fact]
    public void SeveralSeedsAreTrainedVerifiedAndAveraged()
    {
        var end = program.Run(["train", .. Facesearch.Tiny, "--seeds", "1,2", "--final"]).Ended(0);
        Assert.Matches(@"seed 1: step \d+/\d+ [\d ]+ images/s loss [\d.]+ rate [\d.]+ eta \d+:\d\d", end.Out);
        Assert.Contains("2 seeds: accuracy", end.Out);
        Assert.Equal(4, Regex.Count(end.Out, @"seed [12]: accuracy .* on the (choosing|final) pairs"));
        var evaluated = program.Run("evaluate", "runs/train-1/seed-2.checkpoint").Ended(0).Out;
        var trained = Regex.Match(end.Out, @"seed 2: (accuracy \S+ ± \S+) .*choosing").Groups[1].Value;
        Assert.Contains(trained, evaluated);
        program.Run(["train", .. Facesearch.Tiny, "--name", "train-1"]).Refused("train-1", "--resume");
    }

    [Fact]
    public void StoppedAndResumedItIsTheSameTraining()
    {
        if (OperatingSystem.IsWindows()) Assert.Skip("needs SIGINT");
        const int sigint = 2;
        string[] train = ["train", .. Facesearch.Tiny, "--set", "Train.Budget=0.3"];
        program.Run([.. train, "--name", "whole"]).Ended(0);
        var stopped = program.RunUntil("seed 1: step", sigint, [.. train, "--name", "parts", "--threads", "1"]).Ended(130);
        Assert.Contains("stopped; go on with:", stopped.Error);
        program.Run("train", "--name", "parts", "--resume", "--set", "Train.Rate=0.5").Refused("Train.Rate", "0.1", "--name");
        program.Run("train", "--name", "parts", "--resume").Ended(0);
        Assert.Equal(File.ReadAllBytes(program.In("runs/whole/seed-1.checkpoint")), File.ReadAllBytes(program.In("runs/parts/seed-1.checkpoint")));
    }

    [Fact]
    public void CleaningWritesWhatItDidToWhichImage()
    {
        var output = program.Run(["clean", .. Facesearch.Tiny, "--set", "Clean.DropBelow=0.9"]).Ended(0).Out;
        var dropped = int.Parse(Regex.Match(output, @"images kept, (\d+) dropped").Groups[1].Value);
        Assert.True(dropped > 0);
        Assert.Contains("known truth:", output);
        var lines = File.ReadAllLines(program.In("runs/clean-1/cleaning.csv"));
        Assert.Equal(dropped, lines.Count(l => l.Contains(",dropped,")));
    }

    /// Generated faces written to files and read back are the same faces: same counts, same pairs.
    [Fact]
    public void GeneratedFacesAreReadBack()
    {
        var written = program.Run(["data", "synth", "--out", "faces", .. Facesearch.Tiny]).Ended(0).Lines;
        var use = written.Single(l => l.StartsWith("to use them: ", StringComparison.Ordinal))["to use them: ".Length..].Split(' ');
        var read = program.Run(["data", "inspect", .. Facesearch.Tiny, .. use]).Ended(0).Lines;
        var faces = written.Single(l => l.StartsWith("faces: ", StringComparison.Ordinal));
        Assert.Contains(faces, read);
        Assert.Contains(read, l => l.StartsWith("images of an identity", StringComparison.Ordinal));
    }

    public void Dispose() => program.Dispose();
}
