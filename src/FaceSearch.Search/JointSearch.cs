using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Search;

/// <summary>How a joint search is run, beside its settings.</summary>
/// <param name="Folder">Where studies, checkpoints and reports are written.</param>
/// <param name="Resume">Go on with the study of this name instead of starting it.</param>
/// <param name="Command">The exact command that repeats it, for the report.</param>
/// <param name="Commit">Of the program, for the report.</param>
public sealed record JointSearchOptions(string Folder, bool Resume = false, string Command = "", string Commit = "");

/// <summary>What a joint search found. Scores are of the pairs for choosing; Held-out figures are in the report.</summary>
public sealed record JointSearchResult(double BestScore, double BaselineScore, int Trials, TimeSpan Elapsed, string Report, string Fingerprint);

/// <summary>
/// The main job: faces → teacher → trials → finalists again → winner and baseline trained with new seeds and looked at
/// once on people nobody has chosen by → report. Every figure is stored as soon as it is known; run again, it goes on.
/// </summary>
public sealed class JointSearch
{
    // Seeds of retrainings lie far from the run's own, so that they share no draws with it.
    const int SeedStep = 1000;

    readonly StudyStore store;
    readonly SearchSettings settings;
    readonly Space space;
    /// Of faces and teacher: the user's settings with what the space's designs share (an input size, for example).
    readonly Settings shared;
    readonly Action<string> log;
    readonly CancellationToken stop;
    readonly string folder;

    JointSearch(StudyStore store, string folder, Action<string> log, CancellationToken stop)
    {
        (this.store, this.folder, this.log, this.stop) = (store, folder, log, stop);
        (settings, space) = (store.Info.ToSettings(), store.Info.Space);
        shared = space.Baseline(settings.Run);
    }

    /// <param name="settings">Of a new study; a resumed one has its own.</param>
    /// <exception cref="InputException">Something the user can put right.</exception>
    /// <exception cref="OperationCanceledException">Stopped; everything known is in the store.</exception>
    public static JointSearchResult Run(SearchSettings settings, JointSearchOptions options,
        IProgress<StudyEvent>? progress, Action<string> log, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        var file = Path.Combine(options.Folder, settings.Study.Name + StudyStore.Extension);
        using var store = options.Resume ? StudyStore.Open(file) : New(file, settings, options);
        try
        {
            return new JointSearch(store, options.Folder, log, stop).Run(progress, watch);
        }
        catch (InputException) when (!options.Resume && store.Baseline is null && store.Trials.Count == 0)
        {
            // Nothing is lost, and the same command with the mistake put right must not find the name taken.
            store.Dispose();
            File.Delete(file);
            throw;
        }
    }

    /// A new study, its settings checked before minutes are spent on faces and teacher.
    static StudyStore New(string file, SearchSettings settings, JointSearchOptions options)
    {
        var space = Spaces.Find(settings.Study.Space);
        Study.Check(settings, space);
        return StudyStore.Create(file, settings, space, command: options.Command, commit: options.Commit);
    }

    JointSearchResult Run(IProgress<StudyEvent>? progress, Stopwatch watch)
    {
        NoteEnvironment();
        var (data, runner) = Prepare(refit: false);
        new Study(store, runner, progress).Run(stop);
        stop.ThrowIfCancellationRequested();

        var winner = Winner(runner);
        var refit = new Lazy<RecognitionRunner>(() => settings.Study.Refit ? Prepare(refit: true).Runner : runner);
        Finals(refit, winner);
        Last(refit, winner);
        Audit(runner, data, winner);
        store.SetNote("seconds", watch.Elapsed.TotalSeconds.ToString("F0", CultureInfo.InvariantCulture));
        var report = HtmlReport.DefaultPath(store);
        HtmlReport.Write(store, report);
        return new(winner.Scores[^1], store.Baseline?.Scores.LastOrDefault(double.NaN) ?? double.NaN, store.Trials.Count, watch.Elapsed, report, store.Fingerprint());
    }

    /// Faces and teacher of the trials, or of the trainings after the choice.
    (FaceData Data, RecognitionRunner Runner) Prepare(bool refit)
    {
        var data = FaceData.Load(shared, new Told<LoadProgress>(p => p.Done == p.Total, p => log($"{p.What} {p.Done}/{p.Total}")), stop, refit);
        log($"{(refit ? "faces once nothing is left to choose" : "faces")}: {data.Summary}");
        // Before minutes are spent on the teacher.
        if (settings.Study.Score == "auc_all") Verification.CheckOfAll(data.Choose.Faces.Count);
        return (data, new(data, Teach(data, out int dimensions), dimensions, settings.Study));
    }

    void NoteEnvironment()
    {
        using var device = Devices.Open(settings.Train.Device, precision: settings.Train.Precision);
        store.SetNote("environment.system", $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.ProcessArchitecture}, {RuntimeInformation.FrameworkDescription}");
        store.SetNote("environment.device", $"{device.Name} for each trial, {Workers} side by side on {Environment.ProcessorCount} processors");
    }

    float[] Teach(FaceData data, out int dimensions)
    {
        log("teacher: embeddings that the cleaning is judged by");
        using var device = Devices.Open(shared.Train.Device, Workers, exact: shared.Train.Exact, precision: shared.Train.Precision);
        (var embeddings, dimensions) = Teacher.Embed(shared, data.Train, device, stop,
            new Told<TrainProgress>(p => p.Step == p.Steps, p => log(FormattableString.Invariant($"teacher: step {p.Step}/{p.Steps} {p.ImagesPerSecond:F0} images/s loss {p.Loss:F2} eta {p.Remaining:m\\:ss}"))));
        return embeddings;
    }

    /// The complete trial with the best mean reward over its own training and one with another seed: the best of many
    /// single figures is partly luck, and a second look takes most of that away.
    Trial Winner(RecognitionRunner runner)
    {
        var complete = store.Trials.Where(t => t.State == TrialState.Complete).OrderByDescending(t => t.Reward).ThenBy(t => t.Number)
            .Take(Math.Max(1, settings.Study.Finalists)).ToArray();
        if (complete.Length == 0)
            throw new InputException($"no trial of study {settings.Study.Name} was completed{Reason()}; more Study.Trials, other settings or another space may help");
        if (complete.Length == 1) return complete[0];
        var again = Each(complete, t => Noted($"finalist.{t.Number}", () =>
            $"{runner.TrainToEnd(Design(t, 1), null, look: false, 1, stop).Score:R}"));
        var mean = complete.Zip(again, (t, note) => Number(note) is var second && double.IsNaN(second) ? double.NegativeInfinity : t.Reward + (second - t.Scores[^1]) / 2).ToArray();
        var winner = complete[Array.IndexOf(mean, mean.Max())];
        store.SetNote("winner", winner.Number.ToString(CultureInfo.InvariantCulture));
        log($"winner: trial {winner.Number} {space.Describe(winner.Actions)}");
        return winner;
    }

    /// What became of the first trial that says it.
    string Reason() => store.Trials.FirstOrDefault(t => t.Message.Length > 0) is { } t
        ? $", for example trial {t.Number} ({t.State.ToString().ToLowerInvariant()}: {t.Message.Split('\n')[0].TrimEnd('.')})" : "";

    /// Winner and baseline with the same new seeds at the trials' budget, judged on the final pairs.
    void Finals(Lazy<RecognitionRunner> runner, Trial winner)
    {
        var people = settings.Study.Refit ? ", on the people of the choosing pairs as well" : "";
        store.SetNote("final.training", FormattableString.Invariant($"each at the trials' budget {settings.Train.Budget}, one thread{people}"));
        var jobs = Enumerable.Range(2, settings.Study.FinalSeeds)
            .SelectMany(k => new[] { ("best", k, Design(winner, k)), ("baseline", k, WithSeed(shared, k)) }).ToArray();
        Each(jobs, job => Noted($"final.{job.Item1}.{job.Item3.Seed}", () =>
        {
            var checkpoint = job is ("best", 2, _) ? Path.Combine(folder, settings.Study.Name + ".best.checkpoint") : null;
            var figures = runner.Value.TrainToEnd(job.Item3, checkpoint, look: true, 1, stop);
            log(FormattableString.Invariant($"final: {job.Item1} seed {job.Item3.Seed} accuracy {figures.Accuracy:F4} auc {figures.Auc:F4} on people kept for the end"));
            return FormattableString.Invariant($"{figures.Accuracy:R}");
        }));
    }

    /// One long training of the winner, kept as a checkpoint.
    void Last(Lazy<RecognitionRunner> runner, Trial winner)
    {
        if (settings.Study.Last.Length == 0) return;
        var design = settings.Study.LastOf(Design(winner, 2 + settings.Study.FinalSeeds));
        Noted("last.accuracy", () =>
        {
            var watch = Stopwatch.StartNew();
            var figures = runner.Value.TrainToEnd(design, Path.Combine(folder, settings.Study.Name + ".last.checkpoint"), look: true, Workers, stop,
                new Told<TrainProgress>(p => p.Step == p.Steps, p => log(FormattableString.Invariant($"last: step {p.Step}/{p.Steps} {p.ImagesPerSecond:F0} images/s loss {p.Loss:F2} rate {p.Rate:F3} eta {p.Remaining:m\\:ss}"))));
            log(FormattableString.Invariant($"last: accuracy {figures.Accuracy:F4} auc {figures.Auc:F4} after {watch.Elapsed.TotalSeconds:F0} s"));
            return FormattableString.Invariant($"{figures.Accuracy:R}");
        });
    }

    void Audit(RecognitionRunner runner, FaceData data, Trial winner)
    {
        var (plan, _) = runner.Clean(Design(winner, 0).Clean);
        string Name(int label) => data.Train.IdentityNames[label];
        store.SetAudit(plan.Actions.Select(a => new AuditEntry(data.Train.Sources[a.Image], Name(a.From), a.Step switch
        {
            CleaningStep.DropImage => "dropped",
            CleaningStep.MergeIdentity => $"moved to {Name(a.To)}",
            _ => "dropped with its identity",
        }, a.Cosine)));
        store.SetNote("cleaning", $"{plan.Kept.Length} of {data.Train.Count} images kept, {plan.DroppedImages} dropped, {plan.MergedIdentities} identities merged, {plan.DroppedIdentities} dropped, {plan.Identities} left");
    }

    int Workers => settings.Study.Workers > 0 ? settings.Study.Workers : Environment.ProcessorCount;

    Settings Design(Trial trial, int seed) => WithSeed(space.Apply(settings.Run, trial.Actions), seed);

    /// Retrainings differ in everything but the faces, which are loaded with the run's own seed.
    static Settings WithSeed(Settings design, int k) => design with { Seed = design.Seed + SeedStep * k };

    /// The stored note, or the one that the work gives; a training that diverges is noted as such.
    string Noted(string key, Func<string> work)
    {
        if (store.Notes.TryGetValue(key, out var known)) return known;
        string value;
        try { value = work(); }
        catch (DivergedException e) { value = e.Message; }
        store.SetNote(key, value);
        return value;
    }

    static double Number(string note) => double.TryParse(note, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) ? value : double.NaN;

    /// Jobs side by side, results in their order.
    TResult[] Each<T, TResult>(T[] jobs, Func<T, TResult> work)
    {
        var results = new TResult[jobs.Length];
        try
        {
            Parallel.For(0, jobs.Length, new ParallelOptions { MaxDegreeOfParallelism = Workers, CancellationToken = stop }, i => results[i] = work(jobs[i]));
        }
        catch (AggregateException e)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(e.InnerExceptions.FirstOrDefault(x => x is OperationCanceledException) ?? e.InnerExceptions[0]);
        }
        return results;
    }

    /// Progress told at most every two seconds and at the end, at once (Progress&lt;T&gt; would post it to another thread).
    sealed class Told<T>(Func<T, bool> isLast, Action<T> tell) : IProgress<T>
    {
        readonly Stopwatch since = Stopwatch.StartNew();
        readonly Lock gate = new();

        public void Report(T value)
        {
            lock (gate)
            {
                if (since.Elapsed.TotalSeconds < 2 && !isLast(value)) return;
                since.Restart();
                tell(value);
            }
        }
    }
}
