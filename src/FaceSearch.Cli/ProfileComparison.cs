using System.Globalization;
using FaceSearch.Recognition;

namespace FaceSearch.Cli;

/// <summary>An earlier profile, row by row against a new one, by the least times of all steps: they vary less than medians.</summary>
sealed class ProfileComparison
{
    // Op, shape and direction lead a line of the CSV; the least time follows the number of calls and the judged time. A GPU's kernel ends it.
    const int KeyColumns = 3, LeastColumn = 5, KernelColumn = 17;
    // What changes less than this is noise on most machines.
    const double Noise = 0.05;
    const int Most = 15;

    readonly string name;
    readonly Dictionary<string, double> times;

    ProfileComparison(string name, Dictionary<string, double> times) => (this.name, this.times) = (name, times);

    /// <summary>The profile of that name below runs/profile, or of that file; null where no name is given.</summary>
    public static ProfileComparison? Read(string runs, string name)
    {
        if (name.Length == 0) return null;
        const string table = "profile.csv";
        var path = File.Exists(name) ? name : Path.Combine(runs, "profile", name, table);
        try
        {
            var lines = File.ReadLines(path).Skip(1).Select(line => line.Split(','));
            return new(name, lines.ToDictionary(cells => Key([.. cells[..KeyColumns], cells.ElementAtOrDefault(KernelColumn) ?? ""]), cells => double.Parse(cells[LeastColumn], CultureInfo.InvariantCulture)));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException or ArgumentException)
        {
            throw new InputException($"--compare {name}: {path} cannot be read as a profile: {e.Message}", e);
        }
    }

    static string Key(params string[] parts) => string.Join(',', parts);

    /// <summary>The rows that changed most, and the sum.</summary>
    public void Write(Profile now)
    {
        var pairs = now.Rows.Select(r => (Row: r, Before: times.GetValueOrDefault(Key(r.Op, r.Shape, r.Way, r.Kernel), double.NaN))).ToArray();
        var changed = pairs.Where(p => Math.Abs(p.Row.Least / p.Before - 1) > Noise).OrderByDescending(p => Math.Abs(p.Row.Least - p.Before)).Take(Most).ToArray();
        double sum = now.Gap.Least + now.Rows.Sum(r => r.Least), before = times.Values.Sum();
        Console.WriteLine(FormattableString.Invariant($"against {name}: {before:0.000} → {sum:0.000} ms a step by least times, × {before / sum:0.00}"));
        foreach (var (row, old) in changed)
            Console.WriteLine(FormattableString.Invariant($"  {old,9:0.000} → {row.Least,9:0.000} ms  × {old / row.Least:0.00}  {row.Name}"));
        int fresh = pairs.Count(p => double.IsNaN(p.Before)), gone = times.Keys.Count(k => !k.StartsWith('(')) - (pairs.Length - fresh);
        if (fresh + gone > 0) Console.WriteLine($"  {fresh} rows are only in this profile, {gone} only in {name}");
    }
}
