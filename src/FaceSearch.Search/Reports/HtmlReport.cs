using System.Text;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>What a study found, as one HTML file that needs nothing else: no script, no server, no other file.</summary>
public static class HtmlReport
{
    /// <summary>Beside the study, under its name.</summary>
    public static string DefaultPath(StudyStore store) => Path.ChangeExtension(store.File, ".html");

    /// <summary>Writes the report whole or not at all; the same study gives the same bytes.</summary>
    /// <exception cref="InputException">The place cannot be written.</exception>
    public static void Write(StudyStore store, string path)
    {
        var page = Page(ReportData.Read(store)).Markup;
        var unfinished = path + ".part";
        try
        {
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder) Directory.CreateDirectory(folder);
            File.WriteAllText(unfinished, page, new UTF8Encoding(false));
            File.Move(unfinished, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Discard(unfinished);
            throw new InputException($"the report {path} cannot be written: {e.Message}; choose another place or free some space", e);
        }
    }

    static void Discard(string unfinished)
    {
        try { File.Delete(unfinished); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }
    }

    static Html Page(ReportData data) => Html.Of(
        $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{data.Info.Name}: search report</title>
        <style>{new Html(ReportStyle.Css)}</style>
        </head>
        <body>
        {ReportHeadline.Section(data)}
        {ReportProgress.Section(data)}
        {ReportCost.Section(data)}
        {ReportProbabilities.Section(data)}
        {ReportTrials.Section(data)}
        {ReportImportance.Section(data)}
        {ReportCleaning.Section(data)}
        {ReportOrigin.Section(data)}
        </body>
        </html>

        """);
}
