using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace FaceSearch.Search;

/// What leaves a study: tables for other programs, and the fingerprint that compares two studies.
public sealed partial class StudyStore
{
    /// What may differ between two runs of one study.
    static readonly string[] NoIdentity = ["Study.Name", "Study.Workers"];

    /// <summary>
    /// SHA-256 of all that a study is: settings, space, target, and of each trial its design, probabilities, scores,
    /// costs and end. Left out: times, attempts, names, worker count, notes and the traces below an error's first line.
    /// </summary>
    public string Fingerprint()
    {
        var (info, trials) = (Info, Trials);
        var text = new StringBuilder(Json(info.Settings.Where(s => !NoIdentity.Contains(s.Key)).ToArray()));
        text.Append(Json(info.Space)).Append(Json(info.Enqueued)).Append(Json(info.TargetMMacs));
        foreach (var trial in Baseline is { } baseline ? [baseline, .. trials] : trials)
            text.Append(Json(trial with { Seconds = 0, Attempts = 0, Message = trial.Message.Split('\n')[0] }));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    /// <summary>One line for each trial, the baseline first: its figures and one column for each decision.</summary>
    public void ExportCsv(TextWriter writer)
    {
        var (space, trials) = (Info.Space, Trials);
        writer.WriteLine(string.Join(',', (string[])["number", "origin", "state", "reward", "score", "loss", "mmacs", "mparams", "memory_mib",
            "kept_images", "kept_identities", "attempts", "seconds", .. space.Decisions.Select(d => Quoted(d.Name)), "message"]));
        foreach (var t in Baseline is { } baseline ? [baseline, .. trials] : trials)
            writer.WriteLine(string.Join(',', (string[])[$"{t.Number}", $"{t.Origin}", $"{t.State}", Text(t.Reward),
                Text(t.Scores.LastOrDefault(double.NaN)), Text(t.Loss), Text(t.MMacs), Text(t.MParams), Text(t.MemoryMiB),
                $"{t.KeptImages}", $"{t.KeptIdentities}", $"{t.Attempts}", Text(t.Seconds),
                .. space.Decisions.Select((d, i) => t.Number < 0 ? "" : Quoted(d.Options[t.Actions[i]].Label)), Quoted(t.Message)]));
    }

    /// <summary>The whole study as one JSON object; missing figures are "NaN".</summary>
    public void ExportJson(TextWriter writer) => writer.WriteLine(JsonSerializer.Serialize(
        new { Info, Baseline, Trials, Audit, Notes, Fingerprint = Fingerprint() },
        new JsonSerializerOptions(Options) { WriteIndented = true }));

    static string Text(double value) => double.IsNaN(value) ? "" : value.ToString(CultureInfo.InvariantCulture);

    static string Quoted(string text) =>
        text.IndexOfAny([',', '"', '\n', '\r']) < 0 ? text : '"' + text.Replace("\"", "\"\"") + '"';
}
