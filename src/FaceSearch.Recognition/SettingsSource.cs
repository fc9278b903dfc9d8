using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace FaceSearch.Recognition;

/// <summary>Where settings come from: YAML file &lt; environment &lt; `--set path=value`, each named in its errors.</summary>
public static class SettingsSource
{
    const string Prefix = "FACESEARCH_";

    /// <summary>The defaults with all sources laid over them.</summary>
    /// <param name="defaults">A record of nested records of settings.</param>
    /// <param name="yamlFile">Nested or dotted keys; null for none.</param>
    /// <param name="environment">All variables; those like FACESEARCH_HEAD_M2 are settings.</param>
    /// <param name="sets">Texts `path=value`, the last one of equals holds.</param>
    /// <exception cref="InputException">Unknown path, value out of range, unreadable file: with file and line.</exception>
    public static T Load<T>(T defaults, string? yamlFile, IReadOnlyDictionary<string, string> environment, IEnumerable<string> sets) where T : notnull
    {
        var settings = yamlFile is null ? defaults : FromYaml(defaults, yamlFile);
        foreach (var (name, path) in Variables(defaults, environment))
            settings = Named($"environment variable {name}", () => settings.With(path, environment[name]));
        foreach (var set in sets)
        {
            int equals = set.IndexOf('=');
            if (equals <= 0) throw new InputException($"--set {set}: expected path=value, for example --set Head.M2=0.3");
            settings = Named($"--set {set}", () => settings.With(set[..equals].Trim(), set[(equals + 1)..].Trim()));
        }
        return settings;
    }

    /// <summary>The environment of this process.</summary>
    public static IReadOnlyDictionary<string, string> Environment() =>
        System.Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>().ToDictionary(e => (string)e.Key, e => (string?)e.Value ?? "");

    /// <summary>All settings as path and text, in the order of declaration; <see cref="Parse"/> reads it back exactly.</summary>
    public static Dictionary<string, string> ToText(object settings) =>
        SettingsPath.All(settings).ToDictionary(e => e.Path, e => Convert.ToString(e.Value, CultureInfo.InvariantCulture)!);

    /// <summary>The record with every given path set.</summary>
    public static T Parse<T>(T defaults, IReadOnlyDictionary<string, string> text) where T : notnull =>
        text.Aggregate(defaults, (settings, pair) => settings.With(pair.Key, pair.Value));

    /// <summary>The root mapping of a YAML file; null where the file is empty.</summary>
    public static YamlMappingNode? ReadYaml(string file)
    {
        try
        {
            using var reader = new StreamReader(file);
            var yaml = new YamlStream();
            yaml.Load(reader);
            if (yaml.Documents.Count == 0) return null;
            return yaml.Documents[0].RootNode as YamlMappingNode
                ?? throw new InputException($"{file} line 1: expected `path: value` lines");
        }
        catch (YamlException e)
        {
            throw new InputException($"{file} line {e.Start.Line}: not YAML: {e.InnerException?.Message ?? e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"settings file {file} cannot be read: {e.Message}", e);
        }
    }

    static T FromYaml<T>(T settings, string file) where T : notnull
    {
        if (ReadYaml(file) is not { } root) return settings;
        foreach (var (path, node) in Leaves(root, "", file))
            settings = Named($"{file} line {node.Start.Line}", () => settings.With(path, node.Value ?? ""));
        return settings;
    }

    static IEnumerable<(string Path, YamlScalarNode Node)> Leaves(YamlMappingNode mapping, string prefix, string file)
    {
        foreach (var (key, value) in mapping.Children)
        {
            var path = prefix + ((YamlScalarNode)key).Value;
            if (value is YamlMappingNode inner)
                foreach (var leaf in Leaves(inner, path + ".", file)) yield return leaf;
            else if (value is YamlScalarNode scalar) yield return (path, scalar);
            else throw new InputException($"{file} line {value.Start.Line}: {path} is a list; expected one value (lists of options belong in a search space)");
        }
    }

    /// A variable of no section (FACESEARCH_FACES) is somebody else's; a misspelt one of a section is an error.
    static IEnumerable<(string Name, string Path)> Variables(object settings, IReadOnlyDictionary<string, string> environment)
    {
        var known = SettingsPath.All(settings).ToDictionary(e => Prefix + e.Path.Replace('.', '_').ToUpperInvariant(), e => e.Path);
        var sections = known.Values.Where(p => p.Contains('.')).Select(p => Prefix + p[..(p.IndexOf('.') + 1)].Replace('.', '_').ToUpperInvariant()).ToHashSet();
        foreach (var name in environment.Keys.Order(StringComparer.Ordinal))
            if (known.TryGetValue(name, out var path)) yield return (name, path);
            else if (sections.FirstOrDefault(name.StartsWith) is { } section)
                yield return (name, name[Prefix.Length..].Replace('_', '.'));
    }

    static T Named<T>(string source, Func<T> apply)
    {
        try { return apply(); }
        catch (InputException e) { throw new InputException($"{source}: {e.Message}", e); }
    }
}
