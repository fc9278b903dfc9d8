using System.Globalization;
using System.Text.RegularExpressions;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// Where the study comes from: all that is needed to repeat it.
static class ReportOrigin
{
    public static Html Section(ReportData data) => Html.Of(
        $"""
        <h2>How to repeat it</h2>
        {Command(data)}
        {Html.Table(["of the study", ""], [
            ["name", data.Info.Name],
            ["seed", $"{data.Settings.Seed}"],
            ["commit", data.Info.Commit.Length == 0 ? "unknown" : data.Info.Commit],
            ["made", data.Info.Created.ToString("yyyy-MM-dd HH:mm 'UTC'zzz", CultureInfo.InvariantCulture)],
            ["FLOPs target", data.Info.TargetMMacs > 0 ? $"{new Figure(data.Info.TargetMMacs)} million multiply-accumulates" : "none yet"]])}
        {Notes(data)}
        <h3>Search space {data.Space.Name}</h3>
        {Html.Table(["decision", "part", "options"], data.Space.Decisions.Select(d => new object[]
            { d.Name, ReportData.Name(d.Group), string.Join(" · ", d.Options.Select(Words)) }))}
        {Shared(data.Space)}
        <h3>Settings</h3>
        {Html.Table(["setting", "value", "default", "meaning"], Settings(data.Settings).Select(s => new object[]
            { s.Path, s.Value == s.Default ? s.Value : Html.Of($"<b>{s.Value}</b>"), s.Default, Html.Of($"<span class=\"meaning\">{s.Help}</span>") }))}
        """);

    static Html Command(ReportData data)
    {
        var changed = Settings(data.Settings).Where(s => s.Value != s.Default).Select(s => $" --set {Quoted($"{s.Path}={s.Value}")}");
        // The program as it was called: `./build.sh run search`, `facesearch search`.
        var called = Regex.Match(data.Info.Command, @"(?:^| )((?:\S+ run|\S+) search)\b") is { Success: true } match ? match.Groups[1].Value : "facesearch search";
        var whole = called + string.Concat(changed);
        return data.Info.Command.Length == 0
            ? Html.Of($"<pre>{whole}</pre>")
            : Html.Of($"<pre>{data.Info.Command}</pre>\n<p class=\"quiet\">The same with everything spelt out that is not the default, so that no settings file and no environment variable is needed:</p>\n<pre>{whole}</pre>");
    }

    static string Quoted(string text) =>
        text.All(c => char.IsAsciiLetterOrDigit(c) || "=.,_-/:+".Contains(c)) ? text : $"'{text.Replace("'", "'\\''")}'";

    static Html Notes(ReportData data) => data.Notes.Count == 0 ? Html.None : Html.Of(
        $"""
        <h3>Notes of the study</h3>
        {Html.Table(["note", "value"], data.Notes.Select(note => new object[] { note.Key, note.Value }))}
        """);

    static Html Shared(Space space) => space.Shared.Length == 0 ? Html.None
        : Html.Of($"<p class=\"quiet\">All designs share {string.Join(", ", space.Shared.Select(c => $"{c.Path} = {c.Value}"))}.</p>");

    static string Words(Option option) => option.Changes is [var only] && only.Value == option.Label
        ? option.Label
        : $"{option.Label} ({string.Join(", ", option.Changes.Select(c => $"{c.Path}={c.Value}"))})";

    static IEnumerable<(string Path, string Value, string Default, string Help)> Settings(SearchSettings settings)
    {
        var defaults = SettingsSource.ToText(new SearchSettings());
        return SettingsPath.All(settings).Zip(SettingsSource.ToText(settings).Values, (entry, text) => (entry.Path, text, defaults[entry.Path], entry.Help));
    }
}
