using System.Text.RegularExpressions;

namespace FaceSearch.Perf;

/// <summary>Rows in files, one for each machine; never changed, only appended to.</summary>
static class Results
{
    public static void Append(string folder, Row row)
    {
        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, Regex.Replace(row.Machine.ToLowerInvariant(), "[^a-z0-9]+", "-").Trim('-') + ".csv");
        if (!File.Exists(file)) File.WriteAllText(file, Row.Header + "\n");
        File.AppendAllText(file, row.Line + "\n");
    }

    public static IReadOnlyList<Row> Read(string folder) => !Directory.Exists(folder) ? []
        : [.. Directory.EnumerateFiles(folder, "*.csv").Order().SelectMany(file => File.ReadLines(file).Skip(1)).Select(Row.Parse)];
}
