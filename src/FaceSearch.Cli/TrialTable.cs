using System.Globalization;
using FaceSearch.Search;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace FaceSearch.Cli;

/// <summary>Progress of a study in a terminal: a live table of the running, the latest and the best trials.</summary>
sealed class TrialTable : IProgress<StudyEvent>
{
    readonly SortedDictionary<int, StudyEvent> latest = [];
    readonly Lock gate = new();
    LiveDisplayContext? live;

    /// <summary>Runs the work with the table on the screen.</summary>
    public T Show<T>(Func<T> work) => AnsiConsole.Live(new Text("preparing")).Start(context =>
    {
        live = context;
        return work();
    });

    public void Report(StudyEvent now)
    {
        lock (gate)
        {
            double speed = now.ImagesPerSecond > 0 ? now.ImagesPerSecond : latest.GetValueOrDefault(now.Trial.Number)?.ImagesPerSecond ?? 0;
            latest[now.Trial.Number] = now with { ImagesPerSecond = speed };
            live?.UpdateTarget(Draw(now, Math.Max(4, AnsiConsole.Profile.Height - 8)));
        }
    }

    IRenderable Draw(StudyEvent now, int rows)
    {
        var table = new Table().Border(TableBorder.Rounded).Expand();
        foreach (var (title, _) in Columns(IsNarrow)) table.AddColumn(new TableColumn(title).NoWrap());
        foreach (var one in latest.Values.Where(e => IsShown(e, now, rows))) table.AddRow(Row(one, now.Best));
        var eta = now.Remaining is { } left ? $", {TrialText.Time(left)} to go" : "";
        var best = now.Best is { } b ? $", best: trial {b.Number} with {TrialText.Scores(b).Split(' ')[^1]}" : "";
        return table.Caption($"{now.Done} of {now.Total} trials{eta}{best}");
    }

    bool IsShown(StudyEvent one, StudyEvent now, int rows) =>
        one.Trial.Number > now.Trial.Number - rows || !one.Trial.IsFinished || one.Trial.Number == now.Best?.Number || one.Trial.Number < 0;

    static IRenderable[] Row(StudyEvent e, Trial? best)
    {
        var style = e.Trial.Number == best?.Number ? new Style(Color.Green) : e.Trial.State switch
        {
            TrialState.Running => new Style(Color.Blue),
            TrialState.Diverged or TrialState.Failed or TrialState.Lost => new Style(Color.Red),
            TrialState.Pruned or TrialState.Rejected => new Style(Color.Grey),
            _ => Style.Plain,
        };
        return [.. Columns(IsNarrow).Select(column => new Text(column.Text(e), style))];
    }

    /// In 80 columns there is room for the last score only.
    static (string Title, Func<StudyEvent, string> Text)[] Columns(bool narrow) =>
    [
        ("trial", e => TrialText.Name(e.Trial)),
        ("state", e => TrialText.State(e.Trial)),
        narrow ? ("score", e => TrialText.Scores(e.Trial).Split(' ')[^1]) : ("scores at the rungs", e => TrialText.Scores(e.Trial)),
        ("reward", e => TrialText.Reward(e.Trial)),
        ("MMACs", e => Number(e.Trial.MMacs)),
        .. narrow ? [] : new (string, Func<StudyEvent, string>)[] { ("images", e => Number(e.Trial.KeptImages)) },
        ("images/s", e => Number(e.ImagesPerSecond)),
        ("design", e => Short(e.Design)),
    ];

    static bool IsNarrow => AnsiConsole.Profile.Width < 120;

    /// One line: settings without their sections, cut where the terminal ends.
    static string Short(string design)
    {
        const int otherColumns = 92, otherNarrowColumns = 68;
        int room = Math.Max(8, AnsiConsole.Profile.Width - (IsNarrow ? otherNarrowColumns : otherColumns));
        var text = string.Join(' ', design.Split(' ').Select(set => set[(set.Split('=')[0].LastIndexOf('.') + 1)..]));
        return text.Length <= room ? text : text[..(room - 1)] + "…";
    }

    static string Number(double value) => value > 0 ? value.ToString(value < 10 ? "0.#" : "0", CultureInfo.InvariantCulture) : "";
}
