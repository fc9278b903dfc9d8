using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>`facesearch train`: one design, one or several seeds.</summary>
static class TrainVerb
{
    static readonly Option<string> Seeds = new("--seeds") { Description = "train once with each seed, for example 1,2,3, on the same faces; default: Seed", HelpName = "LIST", DefaultValueFactory = _ => "" };
    static readonly Option<bool> Final = new("--final") { Description = "also verify on the pairs kept for the end: look once" };
    static readonly Option<string> Name = new("--name") { Description = "run folder below --runs; default: the next free train-N, with --resume the last one", HelpName = "NAME", DefaultValueFactory = _ => "" };
    static readonly Option<double> Every = new("--checkpoint-every") { Description = "seconds between checkpoints", HelpName = "SECONDS", DefaultValueFactory = _ => 60 };
    static readonly Option<string> Design = new("--design") { Description = "start from a design of a study: its best, or STUDY:TRIAL", HelpName = "STUDY", DefaultValueFactory = _ => "" };

    public static Command Create()
    {
        var command = new Command("train", "Train one design and verify it on people it has not seen")
        {
            Design, Seeds, Final, SettingsOptions.Device, SettingsOptions.Threads, Every, Name, SettingsOptions.Resume, SettingsOptions.Runs,
        };
        command.SetAction(Run);
        return command.WithSettings().WithExamples(
            "facesearch train --set Train.Budget=5",
            "facesearch train --design search --seeds 1,2,3           the best design of a study, three times",
            "facesearch train --design search:17 --final",
            "facesearch train --set Data.Folder=photographs --set Net.Kind=mobilefacenet --set Data.Size=112",
            "facesearch train --device cuda --set Net.Kind=iresnet18 --set Data.Size=112",
            "facesearch train --resume                                go on after a stop or a crash");
    }

    static int Run(ParseResult result)
    {
        bool resume = result.GetValue(SettingsOptions.Resume);
        var path = FolderOf(result, resume);
        var settings = SettingsOf(result, resume, path).OnThisMachine();
        var seeds = SeedsOf(result) ?? (resume ? RunFolder.SeedsOf(path) : [settings.Seed]);
        int threads = result.ThreadCount();
        using var stop = new StopSignals();
        using var folder = new RunFolder(path, settings, seeds, resume);
        try
        {
            var data = Faces.Load(settings.Run, stop.Token);
            var faces = Faces.Cleaned(settings.Run, data, threads, stop.Token);
            var figures = seeds.Select(seed => Train(result, settings.Run with { Seed = seed }, data, faces, folder, resume, stop.Token)).ToArray();
            if (figures.Length > 1) Summary("choosing pairs", [.. figures.Select(f => f.Choose.Accuracy)]);
            if (figures.Length > 1 && figures[0].Final is not null) Summary("final pairs", [.. figures.Select(f => f.Final!.Accuracy)]);
            Console.WriteLine($"run: {path}");
            return 0;
        }
        catch (OperationCanceledException) when (stop.ExitCode != 0)
        {
            var name = result.GetValue(Name)!.Length > 0 ? "" : $" --name {Path.GetFileName(path)}";
            return stop.Stopped($"{Repeat.Command()}{name} --resume");
        }
        catch (DivergedException e)
        {
            throw new InputException($"the training {e.Message}", e);
        }
    }

    static (VerificationResult Choose, VerificationResult? Final) Train(
        ParseResult result, Settings settings, FaceData data, FaceSet faces, RunFolder folder, bool resume, CancellationToken stop)
    {
        int threads = result.ThreadCount();
        var checkpoint = folder.In($"seed-{settings.Seed}.checkpoint");
        using var device = Devices.Open(settings.Train.Device, threads, exact: settings.Train.Exact, precision: settings.Train.Precision);
        using var training = resume && File.Exists(checkpoint) ? Training.Resume(checkpoint, faces, device) : Training.Start(settings, faces, device);
        if (training.Memory is { } memory)
            Console.WriteLine($"seed {settings.Seed}: takes {memory.Held >> 20} MiB of {memory.Free >> 20} that are free on {device.Name}, for tensors of at most {memory.Tensors >> 20} MiB");
        var progress = Faces.Progress($"seed {settings.Seed}: ", p =>
            folder.Log(new { seed = settings.Seed, step = p.Step, steps = p.Steps, loss = p.Loss, rate = p.Rate, images_per_second = p.ImagesPerSecond }));
        training.AdvanceToEnd(checkpoint, TimeSpan.FromSeconds(result.GetValue(Every)), stop, progress);

        var choose = Evaluation.Verify(training.Backbone, data.Choose, stop);
        var final = result.GetValue(Final) ? Evaluation.Verify(training.Backbone, data.Final, stop) : null;
        Report("choosing pairs", choose);
        if (final is not null) Report("final pairs", final);
        return (choose, final);

        void Report(string pairs, VerificationResult figures)
        {
            folder.Log(new { seed = settings.Seed, pairs, accuracy = figures.Accuracy, auc = figures.Auc });
            Console.WriteLine(FormattableString.Invariant($"seed {settings.Seed}: accuracy {figures.Accuracy:0.0000} ± {figures.AccuracyStd:0.0000} auc {figures.Auc:0.0000} on the {pairs}"));
        }
    }

    static string FolderOf(ParseResult result, bool resume)
    {
        var (runs, name) = (result.GetValue(SettingsOptions.Runs)!, result.GetValue(Name)!);
        var path = name.Length > 0 ? Path.Combine(runs, name) : resume ? RunFolder.Last(runs, "train") : RunFolder.Free(runs, "train");
        if (resume && !File.Exists(Path.Combine(path, RunFolder.SettingsFile)))
            throw new InputException($"no run {path} to go on with; give its --name and --runs, or leave --resume out");
        if (resume && Directory.GetFiles(path, "*" + StudyStore.Extension).Length > 0)
            throw new InputException($"run {path} is a search; go on with it by facesearch search --resume --set Study.Name={Path.GetFileName(path)}");
        if (!resume && Directory.Exists(path))
            throw new InputException($"run folder {path} exists already: go on with --resume, or choose another --name");
        return path;
    }

    static SearchSettings SettingsOf(ParseResult result, bool resume, string path)
    {
        if (resume) return result.SameSettings(SettingsSource.Load(new SearchSettings(), Path.Combine(path, RunFolder.SettingsFile), new Dictionary<string, string>(), []), "run", "--name");
        if (result.GetValue(Design) is not { Length: > 0 } design) return result.Settings();
        int colon = design.LastIndexOf(':');
        using var store = StudyStore.OpenRead(StudyFiles.Find(result.GetValue(SettingsOptions.Runs)!, colon < 0 ? design : design[..colon]));
        var (info, trials) = (store.Info, store.Trials);
        var trial = colon < 0 ? Winner(store) : trials.FirstOrDefault(t => t.Number.ToString(CultureInfo.InvariantCulture) == design[(colon + 1)..])
            ?? throw new InputException($"--design {design}: the study has trials 0 to {trials.Count - 1}");
        return result.Settings(info.Space.Changes(trial.Actions).Concat(info.Space.Shared)
            .Aggregate(info.ToSettings(), (settings, change) => settings.With(change.Path, change.Value)));
    }

    /// The trial that the study itself decided for, or the best so far.
    static Trial Winner(StudyStore store) =>
        (store.Notes.TryGetValue("winner", out var number) ? store.Trials[int.Parse(number, CultureInfo.InvariantCulture)] : store.Best)
        ?? throw new InputException($"study {store.Info.Name} has no complete trial yet; name one as STUDY:TRIAL");

    static int[]? SeedsOf(ParseResult result)
    {
        var text = result.GetValue(Seeds)!;
        if (text.Length == 0) return null;
        return [.. text.Split(',', StringSplitOptions.TrimEntries).Select(part =>
            int.TryParse(part, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int seed) ? seed
                : throw new InputException($"--seeds {text}: '{part}' is not a whole number; expected for example 1,2,3")).Distinct()];
    }

    static void Summary(string pairs, double[] accuracies)
    {
        double mean = accuracies.Average(), variance = accuracies.Sum(a => (a - mean) * (a - mean)) / (accuracies.Length - 1);
        Console.WriteLine(FormattableString.Invariant($"{accuracies.Length} seeds: accuracy {mean:0.0000} ± {Math.Sqrt(variance):0.0000} (standard deviation) on the {pairs}"));
    }
}
