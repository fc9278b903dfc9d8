using System.Globalization;
using FaceSearch.Tensors;
using Spectre.Console;

namespace FaceSearch.Cli;

/// <summary>A profile for people: two tables, in a terminal with colours, otherwise as plain columns.</summary>
sealed class ProfileTable(Profile profile, int shown)
{
    // What a terminal needs for all columns; on a narrower one those that the CSV has too are left out.
    const int WideTerminal = 150;
    const double Good = 0.6, Poor = 0.25;

    sealed record Column(string Title, Func<ProfileRow, string> Text, bool Left = false, bool Wide = false);

    static readonly Column[] Columns =
    [
        new("op", r => r.Op, Left: true),
        new("shape", r => r.Shape, Left: true),
        new("direction", r => r.Way, Left: true),
        new("calls", r => Number(r.Calls, "0.##"), Wide: true),
        new("ms/step", r => Number(r.Milliseconds, "0.000")),
        new("% step", r => Percent(r.Share)),
        new("GF/s", r => r.Work.Flops == 0 ? "" : Number(r.FlopRate, "0.0")),
        new("GB/s", r => r.Work.Bytes == 0 ? "" : Number(r.ByteRate, "0.0")),
        new("flop/B", r => r.Work.Flops == 0 ? "" : Number(r.Intensity, "0.0"), Wide: true),
    ];

    static readonly Column Kernel = new("kernel", r => r.Kernel, Left: true);

    bool HasKernels => profile.Rows.Any(r => r.Kernel.Length > 0);

    Column[] All =>
    [
        .. Columns,
        new("% roof", r => r.Work.Bytes == 0 ? "" : Percent(r.OfRoof(profile.Roof))),
        new("bound by", r => profile.Roof.Bound(r.Work), Left: true),
        new("KB", r => Number(r.Allocated / 1024, "0.0"), Wide: true),
        new("faults", r => Number(r.Faults, "0.#"), Wide: true),
    ];

    public void Write()
    {
        var kinds = Grouped(r => (r.Op, r.Direction));
        if (kinds.Length < profile.Rows.Count) Write("by op", [.. All.Where(c => c.Title != "shape")], kinds);
        if (HasKernels)
            Write("by kernel", [Kernel with { Text = r => r.Kernel.Length > 0 ? r.Kernel : r.Op }, .. All.Where(c => c.Title is not ("op" or "shape" or "direction"))], Grouped(r => r.Kernel));
        Write("by op and shape", HasKernels ? [Kernel, .. All] : All, [.. profile.Rows.Take(shown)]);
        if (profile.Rows.Skip(shown).ToArray() is { Length: > 0 } rest)
            Console.WriteLine($"… {rest.Length} more rows with {Number(rest.Sum(r => r.Milliseconds), "0.000")} ms ({Percent(rest.Sum(r => r.Share))} %); all are in the CSV, or --top {profile.Rows.Count}");
    }

    /// Together what has the same key, as a row of the first one's op and direction.
    ProfileRow[] Grouped<K>(Func<ProfileRow, K> key) =>
    [
        .. profile.Rows.GroupBy(key).Select(g => g.First() with
        {
            Shape = "",
            Calls = g.Sum(r => r.Calls),
            Milliseconds = g.Sum(r => r.Milliseconds),
            Least = g.Sum(r => r.Least),
            Mean = g.Sum(r => r.Mean),
            Work = g.Aggregate(default(Cost), (sum, r) => sum + r.Work),
            Allocated = g.Sum(r => r.Allocated),
            Faults = g.Sum(r => r.Faults),
            Share = g.Sum(r => r.Share),
        }).OrderByDescending(r => r.Milliseconds),
    ];

    void Write(string title, Column[] columns, ProfileRow[] rows)
    {
        rows = [.. rows, profile.Gap];
        if (AnsiConsole.Profile.Out.IsTerminal) InTerminal(title, [.. columns.Where(c => !c.Wide || AnsiConsole.Profile.Width >= WideTerminal)], rows);
        else InLines(title, columns, rows);
    }

    void InTerminal(string title, Column[] columns, ProfileRow[] rows)
    {
        var table = new Table().Border(TableBorder.Rounded).Title(title);
        foreach (var column in columns) table.AddColumn(new TableColumn(column.Title) { Alignment = column.Left ? Justify.Left : Justify.Right, NoWrap = column.Title != "shape" });
        foreach (var row in rows) table.AddRow(columns.Select(c => new Text(c.Text(row), c.Title == "% roof" ? StyleOf(row) : Style.Plain)));
        AnsiConsole.Write(table);
    }

    Style StyleOf(ProfileRow row) => row.OfRoof(profile.Roof) switch
    {
        >= Good => new Style(Color.Green),
        < Poor => new Style(Color.Red),
        _ => Style.Plain,
    };

    static void InLines(string title, Column[] columns, ProfileRow[] rows)
    {
        var cells = rows.Select(row => columns.Select(c => c.Text(row)).ToArray()).Prepend([.. columns.Select(c => c.Title)]).ToArray();
        var widths = columns.Select((_, i) => cells.Max(line => line[i].Length)).ToArray();
        Console.WriteLine($"{title}:");
        foreach (var line in cells)
            Console.WriteLine(string.Join("  ", line.Select((cell, i) => columns[i].Left ? cell.PadRight(widths[i]) : cell.PadLeft(widths[i]))).TrimEnd());
        Console.WriteLine();
    }

    public static string Number(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    public static string Percent(double share) => Number(100 * share, "0.0");
}
