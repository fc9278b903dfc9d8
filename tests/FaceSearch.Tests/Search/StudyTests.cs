using FaceSearch.Recognition;
using FaceSearch.Search;
using Xunit;

namespace FaceSearch.Tests.Search;

public class StudyTests
{
    static readonly SearchSettings Small = new() { Study = new() { Trials = 40, Workers = 2, Policy = "ppo", Rungs = "0.25,0.5,1" } };

    [Theory]
    [InlineData("random")]
    [InlineData("evolution")]
    [InlineData("tpe")]
    [InlineData("reinforce")]
    [InlineData("ppo")]
    public void SameBitsWhateverTheWorkers(string policy)
    {
        using var folder = new TemporaryFolder();
        var prints = new[] { 1, 2, 4, 2 }.Select((workers, i) =>
        {
            var settings = Small with { Study = Small.Study with { Workers = workers, Policy = policy } };
            return Finish(folder.File($"{i}.study"), settings).Fingerprint;
        }).ToArray();
        Assert.Single(prints.Distinct());
        var other = Finish(folder.File("other.study"), Small with { Seed = 2, Study = Small.Study with { Policy = policy } });
        Assert.NotEqual(prints[0], other.Fingerprint);
    }

    [Fact]
    public void EveryEndIsAState()
    {
        using var folder = new TemporaryFolder();
        var settings = Small with { Study = Small.Study with { Trials = 200, Policy = "random" } };
        var (_, trials, baseline) = Finish(folder.File("a.study"), settings);
        Assert.Equal(200, trials.Count);
        Assert.Equal(
            [TrialState.Complete, TrialState.Pruned, TrialState.Rejected, TrialState.Diverged, TrialState.Failed],
            trials.Select(t => t.State).Distinct().Order());
        Assert.All(trials, t => Assert.Equal(t.State is TrialState.Complete or TrialState.Pruned, !double.IsNaN(t.Reward)));
        Assert.All(trials.Where(t => t.State == TrialState.Rejected), t => Assert.EndsWith("MMACs are over the limit of 100", t.Message));
        Assert.All(trials.Where(t => t.State == TrialState.Diverged), t => Assert.Equal("the loss is NaN at step 3", t.Message));
        Assert.All(trials.Where(t => t.State == TrialState.Failed), t => Assert.StartsWith("System.InvalidOperationException: the head exploded\n", t.Message));
        Assert.All(trials.Where(t => t.State == TrialState.Pruned), t => Assert.InRange(t.Scores.Length, 1, 2));
        var complete = trials.First(t => t.State == TrialState.Complete);
        Assert.Equal(complete.Scores[2] - 0.05 * Math.Abs(complete.MMacs / 40 - 1), complete.Reward, 1e-15);
        Assert.Equal((TrialState.Complete, 3, TrialOrigin.Baseline), (baseline!.State, baseline.Scores.Length, baseline.Origin));
    }

    [Fact]
    public void PrunedTrialsWereBelowTheMedianOfWhatWasKnown()
    {
        using var folder = new TemporaryFolder();
        var (_, trials, _) = Finish(folder.File("a.study"), Small);
        int pruned = 0;
        foreach (var trial in trials.Where(t => t.Scores.Length > 0))
        {
            var known = trials.Take(trial.Number - Small.Study.Lag + 1).Where(t => t.Scores.Length > 0).Select(t => t.Scores[0]).Order().ToArray();
            bool below = known.Length >= Small.Study.PruneAfter && trial.Scores[0] < (known[(known.Length - 1) / 2] + known[known.Length / 2]) / 2;
            Assert.Equal(below, trial.State == TrialState.Pruned && trial.Scores.Length == 1);
            pruned += below ? 1 : 0;
        }
        Assert.InRange(pruned, 1, trials.Count - 1);
    }

    /// A full disk, met when a rung is told, is not the trial's failure: it goes back to the queue.
    [Fact]
    public void WhatFailsAroundATrialIsNotItsFault()
    {
        using var folder = new TemporaryFolder();
        var settings = Small with { Study = Small.Study with { Trials = 12 } };
        var whole = Finish(folder.File("whole.study"), settings);
        var file = folder.File("broken.study");
        using (var store = StudyStore.Create(file, settings, Spaces.Mini))
        {
            int rungs = 0;
            var full = new Said(now => { if (now.Kind == StudyEventKind.Rung && ++rungs >= 5) throw new InputException("the disk is full"); });
            Assert.Equal("the disk is full", Assert.Throws<InputException>(() => new Study(store, new SyntheticRunner(), full).Run(default)).Message);
            Assert.DoesNotContain(store.Trials, t => t.Message.Contains("disk"));
            Assert.Contains(store.Trials, t => t.State == TrialState.Queued);
        }
        using var again = StudyStore.Open(file);
        new Study(again, new SyntheticRunner()).Run(default);
        Assert.Equal(whole.Fingerprint, again.Fingerprint());
    }

    sealed class Said(Action<StudyEvent> listen) : IProgress<StudyEvent>
    {
        public void Report(StudyEvent now) => listen(now);
    }

    /// The store is copied, as a kill would leave it, at every rung of the study; each copy is finished on its own.
    [Theory]
    [InlineData("ppo")]
    [InlineData("evolution")]
    public void KilledAnywhereItEndsWithTheSameBits(string policy)
    {
        using var folder = new TemporaryFolder();
        var settings = Small with { Study = Small.Study with { Trials = 12, Policy = policy, PruneAfter = 3 } };
        var whole = Finish(folder.File("whole.study"), settings);
        var copies = new List<string>();
        var copying = new Lock();
        var runner = new SyntheticRunner
        {
            BeforeRung = step =>
            {
                lock (copying)
                {
                    copies.Add(folder.File($"killed{step}.study"));
                    foreach (var suffix in new[] { "", "-wal" }) File.Copy(folder.File("live.study" + suffix), copies[^1] + suffix);
                }
            },
        };
        using (var live = StudyStore.Create(folder.File("live.study"), settings, Spaces.Mini)) new Study(live, runner).Run(default);
        Assert.InRange(copies.Count, 12, 39);
        int again = 0;
        foreach (var copy in copies)
        {
            var (print, trials, _) = Finish(copy);
            Assert.Equal(whole.Fingerprint, print);
            again += trials.Count(t => t.Attempts > 1);
        }
        Assert.True(again > 0, "no copy held a running trial");
    }

    [Fact]
    public void CancelledItLeavesNothingRunningAndGoesOn()
    {
        using var folder = new TemporaryFolder();
        var whole = Finish(folder.File("whole.study"), Small);
        using (var store = StudyStore.Create(folder.File("a.study"), Small, Spaces.Mini))
        {
            using var stop = new CancellationTokenSource();
            new Study(store, new SyntheticRunner { BeforeRung = step => { if (step == 25) stop.Cancel(); } }).Run(stop.Token);
            Assert.DoesNotContain(store.Trials, t => t.State is TrialState.Running or TrialState.Lost);
            Assert.InRange(store.Trials.Count(t => t.IsFinished), 1, 30);
        }
        Assert.Equal(whole.Fingerprint, Finish(folder.File("a.study")).Fingerprint);
    }

    [Fact]
    public void AFinishedStudyIsNotTrainedAgainAndGrows()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("a.study");
        Finish(file, Small with { Study = Small.Study with { Trials = 15 } });
        var idle = new SyntheticRunner();
        Finish(file, runner: idle);
        Assert.Equal(0, idle.Steps);
        using (var store = StudyStore.Open(file)) store.SetSettings(Small);
        Assert.Equal(Finish(folder.File("b.study"), Small).Fingerprint, Finish(file).Fingerprint);
    }

    [Fact]
    public void KnownDesignsComeFirst()
    {
        using var folder = new TemporaryFolder();
        int[][] known = [[6, 0, 2, 0, 4, 0, 0, 3, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0]];
        using (var store = StudyStore.Create(folder.File("a.study"), Small, Spaces.Mini, known)) new Study(store, new SyntheticRunner()).Run(default);
        var (_, trials, _) = Finish(folder.File("a.study"));
        Assert.Equal(known, trials.Take(2).Select(t => t.Actions));
        Assert.Equal([TrialOrigin.Enqueued, TrialOrigin.Enqueued, TrialOrigin.Policy], trials.Take(3).Select(t => t.Origin));
        Assert.Equal(trials.Count, trials.Select(t => Spaces.Mini.Hash(t.Actions)).Distinct().Count());
    }

    [Fact]
    public void ASmallSpaceEndsTheStudy()
    {
        using var folder = new TemporaryFolder();
        var space = new Space("small", [.. Spaces.Mini.Decisions.Skip(1).Take(2)], [], 0);
        using var store = StudyStore.Create(folder.File("a.study"), Small, space);
        new Study(store, new SyntheticRunner()).Run(default);
        Assert.Equal(15, store.Trials.Select(t => space.Hash(t.Actions)).Distinct().Count());
        Assert.Equal(15, store.Trials.Count);
    }

    [Fact]
    public void EventsTellTheWholeStory()
    {
        using var folder = new TemporaryFolder();
        using var store = StudyStore.Create(folder.File("a.study"), Small, Spaces.Mini);
        var events = new Events();
        new Study(store, new SyntheticRunner(), events).Run(default);
        Assert.Equal(41, events.Seen.Count(e => e.Kind == StudyEventKind.Started));
        Assert.Equal(41, events.Seen.Count(e => e.Kind == StudyEventKind.Finished));
        Assert.Equal(store.Trials.Append(store.Baseline!).Sum(t => t.State == TrialState.Complete ? 2 : t.State == TrialState.Pruned ? t.Scores.Length - 1 : 0),
            events.Seen.Count(e => e.Kind == StudyEventKind.Rung));
        Assert.All(events.Seen.Where(e => e.Kind == StudyEventKind.Rung), e => Assert.True(e.ImagesPerSecond > 0));
        Assert.Equal((40, 40, TimeSpan.Zero), (events.Seen[^1].Done, events.Seen[^1].Total, events.Seen[^1].Remaining));
        Assert.Equal(store.Best!.Number, events.Seen[^1].Best!.Number);
    }

    [Fact]
    public void ErrorsTeach()
    {
        using var folder = new TemporaryFolder();
        using var store = StudyStore.Create(folder.File("a.study"), Small with { Study = Small.Study with { Workers = 5 } }, Spaces.Mini);
        Assert.Equal("Study.Workers: 5 is more than Study.Lag 4; raise the lag (it changes what is proposed) or use fewer workers",
            Assert.Throws<InputException>(() => new Study(store, new SyntheticRunner())).Message);
        store.SetSettings(Small);
        var broken = new SyntheticRunner { BeforeRung = _ => throw new InputException("no folder faces") };
        Assert.Equal("the baseline cannot be trained: no folder faces", Assert.Throws<InputException>(() => new Study(store, broken).Run(default)).Message);
        new Study(store, new SyntheticRunner()).Run(default);
        store.SetSettings(Small with { Seed = 2 });
        Assert.Matches(@"^trial 0 of this study was \[[0-9,]+\], but repeating it gives \[[0-9,]+\]: the study was made by another version, on another machine or with other settings; start a new one$",
            Assert.Throws<InputException>(() => new Study(store, new SyntheticRunner())).Message);
    }

    sealed class Events : IProgress<StudyEvent>
    {
        public List<StudyEvent> Seen { get; } = [];
        public void Report(StudyEvent value) => Seen.Add(value);
    }

    /// Makes the study, or opens it where no settings are given, and runs it to its end.
    static (string Fingerprint, IReadOnlyList<Trial> Trials, Trial? Baseline) Finish(string file, SearchSettings? settings = null, SyntheticRunner? runner = null)
    {
        using var store = settings is null ? StudyStore.Open(file) : StudyStore.Create(file, settings, Spaces.Mini);
        new Study(store, runner ?? new SyntheticRunner()).Run(default);
        return (store.Fingerprint(), store.Trials, store.Baseline);
    }
}
