using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>`facesearch study list | show | export`: looks into studies, also while they run.</summary>
static class StudyVerb
{
    public static Argument<string> Study { get; } = new("study") { Description = "name of the study, its file or its run folder" };
    static readonly Option<string> Format = new("--format") { Description = "csv (one line a trial) or json (everything)", DefaultValueFactory = _ => "csv" };
    static readonly Option<string?> Out = new("--out") { Description = "file to write; default: standard output", HelpName = "FILE" };

    public static Command Create()
    {
        Format.AcceptOnlyFromAmong("csv", "json");
        var list = new Command("list", "The studies of a runs folder") { SettingsOptions.Runs };
        list.SetAction(result => List(result.GetValue(SettingsOptions.Runs)!));
        var show = new Command("show", "Trials, the best design and the final figures of a study") { Study, SettingsOptions.Runs };
        show.SetAction(Show);
        var export = new Command("export", "A study as a table or as JSON, for other programs") { Study, Format, Out, SettingsOptions.Runs };
        export.SetAction(Export);
        return new Command("study", "Look at studies: list, show, export")
        {
            list.WithExamples("facesearch study list", "facesearch study list --runs /data/runs"),
            show.WithExamples("facesearch study show search", "facesearch study show runs/search/search.study"),
            export.WithExamples("facesearch study export search --out trials.csv", "facesearch study export search --format json > search.json"),
        }.WithExamples(
            "facesearch study list",
            "facesearch study show search",
            "facesearch study export search --format csv --out trials.csv");
    }

    static void List(string runs)
    {
        var files = StudyFiles.All(runs).ToArray();
        if (files.Length == 0) Console.WriteLine($"no study in {runs}; 'facesearch search' makes one");
        foreach (var file in files)
            try
            {
                using var store = StudyStore.OpenRead(file);
                var (info, trials) = (store.Info, store.Trials);
                var settings = info.ToSettings().Study;
                Console.WriteLine($"{info.Name}: {trials.Count(t => t.IsFinished)} of {settings.Trials} trials, space {info.Space.Name}, policy {settings.Policy}" +
                    $", best {Score(store.Best)}, baseline {Score(store.Baseline)}, {file}");
            }
            catch (InputException e) { Console.WriteLine($"{Path.GetFileNameWithoutExtension(file)}: {e.Message}"); }
    }

    static void Show(ParseResult result)
    {
        using var store = Open(result);
        var (info, trials) = (store.Info, store.Trials);
        Console.WriteLine($"study {info.Name}, made {info.Created:yyyy-MM-dd HH:mm} UTC by {info.Command}");
        Console.WriteLine($"space {info.Space.Name}: {info.Space.Decisions.Length} decisions, {info.Space.Size:0.###e+0} designs; FLOPs target {Text(info.TargetMMacs)} MMACs");
        Console.WriteLine(string.Join(", ", trials.GroupBy(t => t.State).OrderBy(g => g.Key).Select(g => $"{g.Count()} {g.Key.ToString().ToLowerInvariant()}")));
        foreach (var trial in store.Baseline is { } baseline ? [baseline, .. trials] : trials)
            Console.WriteLine(TrialText.Line(trial, trial.Number < 0 ? "baseline" : info.Space.Describe(trial.Actions)));
        if (store.Best is { } best) Console.WriteLine($"best: trial {best.Number}: {string.Join(' ', info.Space.Changes(best.Actions).Select(c => $"--set {c.Path}={c.Value}"))}");
        foreach (var (key, value) in store.Notes) Console.WriteLine($"{key}: {value}");
    }

    static void Export(ParseResult result)
    {
        using var store = Open(result);
        Action<TextWriter> write = result.GetValue(Format) == "json" ? store.ExportJson : store.ExportCsv;
        if (result.GetValue(Out) is not { } path)
        {
            write(Console.Out);
            return;
        }
        try
        {
            using var file = new StreamWriter(path);
            write(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"--out {path} cannot be written: {e.Message}", e);
        }
    }

    static StudyStore Open(ParseResult result) =>
        StudyStore.OpenRead(StudyFiles.Find(result.GetValue(SettingsOptions.Runs)!, result.GetValue(Study)!));

    static string Score(Trial? trial) => trial is { Scores: [.., var score] } ? Text(score) : "none";

    static string Text(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
}
