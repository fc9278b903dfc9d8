using System.Diagnostics;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>
/// Runs the trials of a store side by side until all are finished. Everything it knows is in the store: stopped or
/// killed anywhere, run again, it goes on and ends with the same bits (<see cref="StudyStore.Fingerprint"/>) as an
/// undisturbed study, whatever the number of workers.
/// </summary>
public sealed class Study
{
    readonly StudyStore store;
    readonly TrialTrainer trainer;
    readonly Proposer proposer;
    readonly IProgress<StudyEvent>? progress;
    readonly SearchSettings settings;
    readonly Space space;
    readonly List<Trial> trials = [];
    readonly int[][] enqueued;
    readonly object gate = new();
    readonly Stopwatch watch = new();
    readonly int total;
    Trial? baseline;
    Exception? fatal;
    int finishedHere;

    /// <param name="store">Open for writing: just created, or of a study to go on with.</param>
    /// <exception cref="InputException">Settings that do not fit, or a store made by another version or seed.</exception>
    public Study(StudyStore store, ITrialRunner runner, IProgress<StudyEvent>? progress = null)
    {
        var info = store.Info;
        (this.store, this.progress, settings, space, enqueued) = (store, progress, info.ToSettings(), info.Space, info.Enqueued);
        var study = settings.Study;
        Check(settings, space);
        trainer = new TrialTrainer(runner, settings, space, Target(info, runner));
        proposer = new Proposer(space, Policies.Create(space, study, settings.Seed), study.Lag);
        total = (int)Math.Min(study.Trials, space.Size);
        Restore();
    }

    /// <summary>Refuses what can be seen to be wrong from settings and space alone.</summary>
    /// <exception cref="InputException">A setting that no study can be run with.</exception>
    public static void Check(SearchSettings settings, Space space)
    {
        var study = settings.Study;
        if (study.Workers > study.Lag)
            throw new InputException($"Study.Workers: {study.Workers} is more than Study.Lag {study.Lag}; raise the lag (it changes what is proposed) or use fewer workers");
        study.RungShares();
        Policies.Create(space, study, settings.Seed);
        if (study.Score is not ("accuracy" or "auc" or "auc_all")) throw new InputException($"Study.Score: '{study.Score}' is none of accuracy, auc and auc_all");
        var baseline = space.Baseline(settings.Run);
        TrainingPlan.Of(baseline, identities: 2);
        TrainingPlan.Of(study.LastOf(baseline), identities: 2);
    }

    /// <summary>FLOPs target in millions of multiply-accumulates.</summary>
    public double TargetMMacs => trainer.TargetMMacs;

    /// <summary>Runs what is left, or as far as the token allows; interrupted trials go back to the queue.</summary>
    /// <exception cref="InputException">The baseline cannot be trained, or the store cannot be written.</exception>
    public void Run(CancellationToken stop)
    {
        watch.Start();
        using var any = CancellationTokenSource.CreateLinkedTokenSource(stop);
        using var wake = any.Token.Register(Wake);
        int workers = settings.Study.Workers > 0 ? settings.Study.Workers : Math.Min(Environment.ProcessorCount, settings.Study.Lag);
        var threads = Enumerable.Range(0, workers).Select(i => new Thread(() => Work(any)) { Name = $"trial worker {i}" }).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        watch.Stop();
        if (fatal is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(fatal);
    }

    /// Repeats what the store knows; whatever was running when the process died is lost and queued again.
    void Restore()
    {
        foreach (var stored in store.Trials)
        {
            proposer.Replay(trials, stored, Enqueued);
            trials.Add(stored);
            if (stored.State == TrialState.Running) Put(TrialTrainer.Again(stored, TrialState.Lost));
        }
        baseline = settings.Study.Baseline ? store.Baseline ?? new() { Number = -1, Actions = [], Origin = TrialOrigin.Baseline } : null;
        if (baseline?.State == TrialState.Running) Put(TrialTrainer.Again(baseline, TrialState.Lost));
    }

    void Work(CancellationTokenSource stop)
    {
        try
        {
            while (Take(stop.Token) is { } trial)
            {
                var watch = Stopwatch.StartNew();
                var result = trainer.Run(trial, Peers(trial), stop.Token,
                    (now, images) => Reached(now, images / watch.Elapsed.TotalSeconds, stop));
                result = result with { Seconds = watch.Elapsed.TotalSeconds };
                lock (gate)
                {
                    Put(result);
                    if (result.IsFinished) finishedHere++;
                    Monitor.PulseAll(gate);
                }
                if (result.IsFinished) Tell(StudyEventKind.Finished, result, 0);
            }
        }
        catch (Exception e)
        {
            Fail(e, stop);
        }
    }

    /// Those known when the trial was proposed, however many are known by now.
    Trial[] Peers(Trial trial)
    {
        lock (gate) return [.. trials.Take(trial.Number - settings.Study.Lag + 1)];
    }

    /// What fails here (a full disk) is not the trial's fault: it ends the run, and the trial goes back to the queue.
    void Reached(Trial trial, double imagesPerSecond, CancellationTokenSource stop)
    {
        try
        {
            lock (gate) Put(trial);
            Tell(StudyEventKind.Rung, trial, imagesPerSecond);
        }
        catch (Exception e)
        {
            Fail(e, stop);
        }
    }

    void Fail(Exception e, CancellationTokenSource stop)
    {
        lock (gate) fatal ??= e;
        stop.Cancel();
    }

    /// The next trial to run, marked as running; null when there is none left.
    Trial? Take(CancellationToken stop)
    {
        Trial? next = null;
        lock (gate)
        {
            while (!stop.IsCancellationRequested && (next = Waiting() ?? Propose()) is null && trials.Any(t => !t.IsFinished))
                Monitor.Wait(gate);
            if (next is null || stop.IsCancellationRequested) return null;
            Put(next = next with { State = TrialState.Running, Attempts = next.Attempts + 1 });
        }
        Tell(StudyEventKind.Started, next, 0);
        return next;
    }

    Trial? Waiting()
    {
        static bool Waits(Trial? t) => t?.State is TrialState.Queued or TrialState.Lost;
        return Waits(baseline) ? baseline : trials.FirstOrDefault(Waits);
    }

    /// The design that a person wants for the next trial, if any.
    int[]? Enqueued => trials.Count < enqueued.Length ? enqueued[trials.Count] : null;

    Trial? Propose()
    {
        if (trials.Count >= total || !proposer.MayPropose(trials)) return null;
        var trial = proposer.Next(trials, Enqueued);
        trials.Add(trial);
        return trial;
    }

    void Put(Trial trial)
    {
        store.Save(trial);
        if (trial.Number < 0) baseline = trial;
        else trials[trial.Number] = trial;
    }

    void Tell(StudyEventKind kind, Trial trial, double imagesPerSecond)
    {
        if (progress is null) return;
        lock (gate)
        {
            int done = trials.Count(t => t.IsFinished);
            TimeSpan? remaining = finishedHere == 0 ? null : watch.Elapsed / finishedHere * (total - done);
            var best = trials.Where(t => t.State == TrialState.Complete).MaxBy(t => t.Reward);
            var design = trial.Number < 0 ? "baseline" : space.Describe(trial.Actions);
            progress.Report(new(kind, trial, design, done, total, best, remaining, imagesPerSecond));
        }
    }

    void Wake()
    {
        lock (gate) Monitor.PulseAll(gate);
    }

    double Target(StudyInfo info, ITrialRunner runner)
    {
        if (info.TargetMMacs > 0) return info.TargetMMacs;
        double target = settings.Study.FlopsTarget > 0 ? settings.Study.FlopsTarget
            : space.TargetMMacs > 0 ? space.TargetMMacs : runner.Plan(space.Baseline(settings.Run)).MMacs;
        store.SetTarget(target);
        return target;
    }
}
