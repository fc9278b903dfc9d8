using System.CommandLine;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>`facesearch report`: writes the HTML report of a study again.</summary>
static class ReportVerb
{
    static readonly Option<string?> Out = new("--out") { Description = "file to write; default: beside the study", HelpName = "FILE" };

    public static Command Create()
    {
        var command = new Command("report", "Write the report of a study, also of one that still runs") { StudyVerb.Study, Out, SettingsOptions.Runs };
        command.SetAction(Run);
        return command.WithExamples("facesearch report search", "facesearch report search --out result.html");
    }

    static void Run(ParseResult result)
    {
        using var store = StudyStore.OpenRead(StudyFiles.Find(result.GetValue(SettingsOptions.Runs)!, result.GetValue(StudyVerb.Study)!));
        var path = result.GetValue(Out) ?? HtmlReport.DefaultPath(store);
        HtmlReport.Write(store, path);
        Console.WriteLine($"report: {path}");
    }
}
