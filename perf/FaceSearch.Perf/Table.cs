using System.Globalization;
using System.Text;

namespace FaceSearch.Perf;

/// <summary>The latest row of each case as Markdown, a table for each machine and number of threads.</summary>
static class Table
{
    public static string Markdown(IEnumerable<Row> rows)
    {
        var text = new StringBuilder();
        foreach (var table in rows.GroupBy(r => (r.Machine, r.Threads)).OrderBy(g => g.Key))
        {
            var latest = Cases.All.Concat(GpuCases.All).Select(c => c.Name).Append(SearchRace.Case).Select(name => table.LastOrDefault(r => r.Case == name)).OfType<Row>().ToList();
            if (latest.Count == 0) continue;
            text.AppendLine(CultureInfo.InvariantCulture, $"{table.Key.Machine}, {table.Key.Threads} thread{(table.Key.Threads == 1 ? "" : "s")}, peak {latest.Max(r => r.PeakGflops):0} GF/s, memory {latest.Max(r => Math.Max(r.ReadGbs, r.CopyGbs)):0} GB/s{Rounds(latest)}:\n");
            text.AppendLine("| case | ours ms (20–80 %) | GF/s | roof | images/s | peer's best ms (form) | × best | peer's usual ms | × usual | MB ours / best / usual | faults |");
            text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|");
            foreach (var row in latest) text.AppendLine(Line(row));
            text.AppendLine();
        }
        return text.Length > 0 ? text.ToString() : "no results yet: ./build.sh perf all\n";
    }

    static string Rounds(List<Row> rows)
    {
        double[] known = [.. rows.Select(r => r.RoundNs).Where(r => !double.IsNaN(r))];
        return known.Length == 0 ? "" : $", a flag to and fro between the cores {Whole(known.Min())} to {Whole(known.Max())} ns ({known.Length} of {rows.Count} rows tell)";
    }

    static string Line(Row r)
    {
        int images = (Cases.Find(r.Case) ?? GpuCases.Find(r.Case))?.Images ?? 0;
        var best = r.PeerBestForm.Length > 0 ? $"{Number(r.PeerBestMs)} ({r.PeerBestForm})" : "–";
        return $"| {r.Case} | {Number(r.OursMs)} ({Number(r.P20)}–{Number(r.P80)}) | {Number(r.Gflops)} | {Share(r.Roof)} | {(images > 0 ? Number(1000 * images / r.OursMs) : "")} | {best} | {Ratio(r.RatioBest)} | {Number(r.PeerUsualMs)} | {Ratio(r.RatioUsual)} | {Whole(r.OursMb)} / {Whole(r.PeerBestMb)} / {Whole(r.PeerUsualMb)} | {Whole(r.FaultsPerStep)} |";
    }

    /// Three digits that count.
    static string Number(double value) => Text(value, value < 10 ? "0.00" : value < 100 ? "0.0" : "0");
    static string Ratio(double value) => double.IsNaN(value) ? "–" : $"**{Text(value, "0.00")}**";
    static string Share(double value) => double.IsNaN(value) ? "–" : Text(100 * value, "0") + " %";
    static string Whole(double value) => Text(value, "0");
    static string Text(double value, string format) => double.IsNaN(value) ? "–" : value.ToString(format, CultureInfo.InvariantCulture);
}
