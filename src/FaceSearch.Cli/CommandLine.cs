using System.CommandLine;
using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>
/// Reads the words, runs the verb, turns errors into words. Exit codes: 0 done, 1 an error that is told, 2 wrong usage,
/// 128 + signal where a signal stopped it.
/// </summary>
static class CommandLine
{
    public static RootCommand Root()
    {
        var root = new RootCommand("Searches, together, which photographs to keep, which network to train and which margin loss to train it with.")
        {
            SearchVerb.Create(), TrainVerb.Create(), EvaluateVerb.Create(), CleanVerb.Create(), DataVerb.Create(),
            StudyVerb.Create(), ReportVerb.Create(), ProfileVerb.Create(), DoctorVerb.Create(), SettingsVerb.Create(),
        };
        return root.WithExamples(
            "facesearch search                                   the main job on generated faces, minutes",
            "facesearch search --set Data.Folder=photographs     on your own: one sub-folder for each person",
            "facesearch doctor                                   what this machine can do",
            "facesearch settings Head                            what can be set, and what it means");
    }

    public static int Run(string[] args)
    {
        if (args.Length == 0)
        {
            Root().Parse(["--help"]).Invoke();
            return 2;
        }
        var parsed = Root().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors) Console.Error.WriteLine(error.Message);
            Console.Error.WriteLine($"'{parsed.CommandResult.Command.Path()} --help' tells what it takes");
            return 2;
        }
        try
        {
            return parsed.Invoke(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e) when (e is InputException or ShapeException or DeviceException)
        {
            Console.Error.WriteLine($"error: {e.Message}");
            return 1;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"error: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")} ({Details(e, args)})");
            return 1;
        }
    }

    /// Where the stack trace went, for whoever has to find the cause.
    static string Details(Exception e, string[] args)
    {
        var file = Path.Combine(Path.GetTempPath(), $"facesearch-error-{Environment.ProcessId}.txt");
        try
        {
            File.WriteAllText(file, $"{Repeat.Program} {Repeat.Version}\n{Repeat.Command(args)}\n{e}\n");
            return $"an error of the program; details in {file}";
        }
        catch (Exception again) when (again is IOException or UnauthorizedAccessException)
        {
            return $"an error of the program; its details could not be written: {again.Message}";
        }
    }
}
