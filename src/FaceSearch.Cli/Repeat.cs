using System.Reflection;
using FaceSearch.Recognition;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>What is needed to repeat a run: the command, the program's version and commit.</summary>
static class Repeat
{
    public const string Program = "facesearch";

    /// <summary>How the user called the program; build.sh says `./build.sh run`.</summary>
    static string Called => Environment.GetEnvironmentVariable("FACESEARCH_CALLED_AS") is { Length: > 0 } name ? name : Program;

    static readonly string[] Informational =
        (typeof(Repeat).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "").Split('+');

    public static string Version => Informational[0];

    /// <summary>The commit that was built; empty where it was built outside a repository.</summary>
    public static string Commit => Informational.Length > 1 ? Informational[1] : "";

    /// <summary>The command line as a shell would take it, with the settings of the environment, without --resume.</summary>
    public static string Command(string[] args) =>
        string.Join(' ', [.. Variables(), Called, .. args.Where(a => a != "--resume").Select(Quoted)]);

    public static string Command() => Command(Environment.GetCommandLineArgs()[1..]);

    static IEnumerable<string> Variables() =>
        SettingsPath.All(new SearchSettings())
            .Select(e => "FACESEARCH_" + e.Path.Replace('.', '_').ToUpperInvariant())
            .Where(name => Environment.GetEnvironmentVariable(name) is not null)
            .Select(name => $"{name}={Quoted(Environment.GetEnvironmentVariable(name)!)}");

    static string Quoted(string word) =>
        word.Length > 0 && word.All(c => char.IsLetterOrDigit(c) || "-_=./,:@%+".Contains(c)) ? word : $"'{word.Replace("'", "'\\''")}'";
}
