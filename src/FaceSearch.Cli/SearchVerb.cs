using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Search;
using Spectre.Console;

namespace FaceSearch.Cli;

/// <summary>`facesearch search`: the main job.</summary>
static class SearchVerb
{
    public static Command Create()
    {
        var command = new Command("search", "Find together what to keep, which network to train and with which loss; ends with a report")
        {
            SettingsOptions.Device, SettingsOptions.Resume, SettingsOptions.Runs,
        };
        command.SetAction(Run);
        return command.WithSettings().WithExamples(
            "facesearch search                                        generated faces, downloads nothing",
            "facesearch search --set Data.Folder=photographs          one sub-folder for each person",
            "facesearch search --set Study.Trials=100 --set Study.Policy=tpe --set Study.Name=long",
            "facesearch search --resume                               go on after a stop or a crash",
            "facesearch study show search                             look at it, also while it runs");
    }

    static int Run(ParseResult result)
    {
        bool resume = result.GetValue(SettingsOptions.Resume);
        var runs = result.GetValue(SettingsOptions.Runs)!;
        var settings = result.Settings().OnThisMachine();
        var file = StudyFiles.File(runs, settings.Study.Name);
        if (resume) settings = Stored(file, result);
        else if (StudyStore.Exists(file))
            throw new InputException($"study '{settings.Study.Name}' exists already ({file}): go on with --resume, or choose another --set Study.Name=NAME");
        using var stop = new StopSignals();
        using var folder = new RunFolder(StudyFiles.Folder(runs, settings.Study.Name), settings, [settings.Seed], resume);
        try
        {
            var found = AnsiConsole.Profile.Out.IsTerminal ? InTerminal(settings, folder, resume, stop.Token) : InLog(settings, folder, resume, stop.Token);
            Console.WriteLine(FormattableString.Invariant($"best={found.BestScore:0.0000} baseline={found.BaselineScore:0.0000} trials={found.Trials} seconds={found.Elapsed.TotalSeconds:0}"));
            Console.WriteLine($"report: {found.Report}");
            return 0;
        }
        catch (OperationCanceledException) when (stop.ExitCode != 0)
        {
            return stop.Stopped($"{Repeat.Command()} --resume");
        }
    }

    /// The settings of the study itself; of what may change in the middle only the number of workers is taken over.
    static SearchSettings Stored(string file, ParseResult result)
    {
        using var store = StudyStore.Open(file);
        var stored = store.Info.ToSettings();
        var taken = stored with { Study = stored.Study with { Workers = result.Settings(stored).Study.Workers } };
        result.SameSettings(taken, "study", "--set Study.Name=NAME");
        store.SetSettings(taken);
        return taken;
    }

    static JointSearchResult InTerminal(SearchSettings settings, RunFolder folder, bool resume, CancellationToken stop)
    {
        var table = new TrialTable();
        // Padded, as a line is written over the top of the table, which is then drawn anew below.
        return table.Show(() => Search(settings, folder, resume, table, line => AnsiConsole.WriteLine(line.PadRight(AnsiConsole.Profile.Width - 1)), stop));
    }

    static JointSearchResult InLog(SearchSettings settings, RunFolder folder, bool resume, CancellationToken stop) =>
        Search(settings, folder, resume, new TrialLines(Console.Out), Console.Out.WriteLine, stop);

    static JointSearchResult Search(SearchSettings settings, RunFolder folder, bool resume, IProgress<StudyEvent> view, Action<string> log, CancellationToken stop) =>
        JointSearch.Run(settings, new(folder.Path, resume, Repeat.Command(), Repeat.Commit), new Recorded(folder, view), log, stop);

    /// Every event also becomes a line of metrics.jsonl.
    sealed class Recorded(RunFolder folder, IProgress<StudyEvent> view) : IProgress<StudyEvent>
    {
        public void Report(StudyEvent now)
        {
            var t = now.Trial;
            folder.Log(new { now.Kind, trial = t.Number, t.State, t.Scores, t.Reward, t.Loss, t.MMacs, t.KeptImages, t.Seconds, now.ImagesPerSecond });
            view.Report(now);
        }
    }
}
