using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FaceSearch.Recognition;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>
/// Where a run leaves everything: settings.yaml (complete, for --config), run.json (command, commit, seeds),
/// metrics.jsonl (one line an event) and what the verb writes.
/// </summary>
sealed class RunFolder : IDisposable
{
    static readonly JsonSerializerOptions Options = new()
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    public const string SettingsFile = "settings.yaml";

    const string RunFile = "run.json", MetricsFile = "metrics.jsonl";

    /// What repeats the run.
    sealed record Description(string Command, string Commit, string Version, int[] Seeds);

    readonly Lock gate = new();
    readonly StreamWriter metrics;

    /// <summary>Opens the folder and writes what repeats the run; a resumed run keeps what is there.</summary>
    public RunFolder(string path, SearchSettings settings, int[] seeds, bool resume)
    {
        Path = path;
        bool made = !Directory.Exists(path);
        try
        {
            Directory.CreateDirectory(path);
            // First, as its lock keeps a run that started at the same moment out of this folder.
            metrics = new StreamWriter(In(MetricsFile), append: resume) { AutoFlush = true };
            if (!resume || !File.Exists(In(SettingsFile)))
            {
                File.WriteAllText(In(SettingsFile), SettingsVerb.ToYaml(SettingsPath.All(settings)));
                File.WriteAllText(In(RunFile), JsonSerializer.Serialize(
                    new Description(Repeat.Command(), Repeat.Commit, Repeat.Version, seeds), new JsonSerializerOptions(Options) { WriteIndented = true }) + "\n");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            bool taken = metrics is null && File.Exists(In(MetricsFile));
            metrics?.Dispose();
            if (made && !taken) Remove(path);
            throw new InputException($"run folder {path} cannot be written: {e.Message} Choose another with --runs DIR", e);
        }
    }

    public string Path { get; }

    /// A folder that could not be filled must not take the name.
    static void Remove(string path)
    {
        try { Directory.Delete(path, recursive: true); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { }
    }

    public string In(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Adds one line to metrics.jsonl.</summary>
    public void Log(object metric)
    {
        lock (gate)
            try { metrics.WriteLine(JsonSerializer.Serialize(metric, Options)); }
            catch (IOException e) { throw new InputException($"{In(MetricsFile)} cannot be written: {e.Message}", e); }
    }

    /// <summary>The folder of the first free number: train-1, train-2, …</summary>
    public static string Free(string runs, string verb)
    {
        for (int n = 1; ; n++)
            if (System.IO.Path.Combine(runs, $"{verb}-{n}") is var path && !Directory.Exists(path)) return path;
    }

    /// <summary>The folder of the highest number.</summary>
    public static string Last(string runs, string verb)
    {
        var free = Free(runs, verb);
        int number = int.Parse(free.AsSpan(free.LastIndexOf('-') + 1), System.Globalization.CultureInfo.InvariantCulture);
        return System.IO.Path.Combine(runs, $"{verb}-{number - 1}");
    }

    /// <summary>The seeds of a run, to go on with it.</summary>
    public static int[] SeedsOf(string path)
    {
        var file = System.IO.Path.Combine(path, RunFile);
        try { return JsonSerializer.Deserialize<Description>(File.ReadAllText(file), Options)!.Seeds; }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new InputException($"{file} cannot be read: {e.Message} Give --seeds", e);
        }
    }

    public void Dispose() => metrics.Dispose();
}
