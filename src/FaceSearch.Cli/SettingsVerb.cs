using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;

namespace FaceSearch.Cli;

/// <summary>`facesearch settings`: every setting with its value, range and meaning.</summary>
static class SettingsVerb
{
    static readonly Argument<string> Part = new("part")
    {
        Description = "only settings whose path contains this, for example Head",
        Arity = ArgumentArity.ZeroOrOne,
        DefaultValueFactory = _ => "",
    };
    static readonly Option<bool> Yaml = new("--yaml") { Description = "as a YAML file for --config" };

    public static Command Create()
    {
        var command = new Command("settings", "List all settings: value now, range, meaning") { Part, Yaml };
        command.SetAction(Run);
        return command.WithSettings().WithExamples(
            "facesearch settings Head",
            "facesearch settings --yaml > mine.yaml",
            "FACESEARCH_TRAIN_BATCH=32 facesearch settings Train --set Train.Rate=0.05");
    }

    static void Run(ParseResult result)
    {
        var part = result.GetValue(Part)!;
        var settings = result.Settings();
        var entries = SettingsPath.All(settings).Where(e => e.Path.Contains(part, StringComparison.OrdinalIgnoreCase)).ToArray();
        if (entries.Length == 0) throw new InputException($"no setting has '{part}' in its path ({Repeat.Program} settings lists all)");
        if (result.GetValue(Yaml))
        {
            Console.Write(ToYaml(entries));
            return;
        }
        int path = entries.Max(e => e.Path.Length), value = entries.Max(e => Text(e.Value).Length), range = entries.Max(e => Range(e).Length);
        foreach (var e in entries)
            Console.WriteLine($"{e.Path.PadRight(path)}  {Text(e.Value).PadRight(value)}  {Range(e).PadRight(range)}  {e.Help}");
    }

    /// <summary>Settings as `path: value` lines that --config reads back exactly.</summary>
    public static string ToYaml(IEnumerable<SettingsPath.Entry> entries) =>
        string.Concat(entries.Select(e => $"{e.Path}: {(e.Value is string text ? Quoted(text) : Text(e.Value))}\n"));

    static string Quoted(string text) => $"'{text.Replace("'", "''")}'";

    static string Range(SettingsPath.Entry entry) =>
        double.IsNaN(entry.Min) ? entry.Type == typeof(bool) ? "true | false" : entry.Type == typeof(int) ? "whole number" : "text"
            : $"{Text(entry.Min)} .. {Text(entry.Max)}";

    static string Text(object value) => value is "" ? "''" : Convert.ToString(value, CultureInfo.InvariantCulture)!;
}
