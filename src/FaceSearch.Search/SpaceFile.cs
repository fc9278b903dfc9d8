using FaceSearch.Recognition;
using YamlDotNet.RepresentationModel;

namespace FaceSearch.Search;

/// <summary>
/// A search space in YAML:
/// <code>
/// name: mine                      # optional, else the file's name
/// target: 350                     # optional, millions of multiply-accumulates
/// shared: { Net.Kind: iresnet18 } # optional, what all designs share
/// decisions:
///   Head.M2: [0, 0.2, 0.5]        # a settings path and its options
///   Size:                         # a name, and options that change several settings
///     small: { Net.Width: 0.5, Net.Depth: 0.5 }
///     large: { Net.Width: 1.5, Net.Depth: 2 }
/// </code>
/// </summary>
public static class SpaceFile
{
    static readonly string[] Keys = ["name", "target", "shared", "decisions"];

    /// <exception cref="InputException">Not of this form, with the line; or not a valid <see cref="Space"/>.</exception>
    public static Space Read(string file)
    {
        var root = SettingsSource.ReadYaml(file) ?? throw new InputException($"{file} is empty; expected `decisions:` with path: [options]");
        var parts = root.Children.ToDictionary(pair => Text(pair.Key, file), pair => pair.Value);
        if (parts.Keys.FirstOrDefault(k => !Keys.Contains(k)) is { } unknown)
            throw Wrong(file, root, $"unknown key '{unknown}', expected {string.Join(", ", Keys)}");
        if (!parts.TryGetValue("decisions", out var decisions)) throw Wrong(file, root, "no `decisions:` with path: [options]");
        double target = 0;
        if (parts.TryGetValue("target", out var node) && !double.TryParse(Text(node, file), System.Globalization.CultureInfo.InvariantCulture, out target))
            throw Wrong(file, node, "target is not a number of millions of multiply-accumulates");
        return new(
            parts.TryGetValue("name", out var name) ? Text(name, file) : Path.GetFileNameWithoutExtension(file),
            [.. Mapping(decisions, file).Select(pair => Decide(Text(pair.Key, file), pair.Value, file))],
            parts.TryGetValue("shared", out var shared) ? Changes(shared, file) : [],
            target);
    }

    static Decision Decide(string name, YamlNode node, string file) => node switch
    {
        YamlSequenceNode list => Spaces.Choose(name, [.. list.Children.Select(option => Text(option, file))]),
        _ => new(name, [.. Mapping(node, file).Select(pair => new Option(Text(pair.Key, file), Changes(pair.Value, file)))]),
    };

    static Change[] Changes(YamlNode node, string file) =>
        [.. Mapping(node, file).Select(pair => new Change(Text(pair.Key, file), Text(pair.Value, file)))];

    static IEnumerable<KeyValuePair<YamlNode, YamlNode>> Mapping(YamlNode node, string file) =>
        (node as YamlMappingNode ?? throw Wrong(file, node, "expected `key: value` lines")).Children;

    static string Text(YamlNode node, string file) =>
        (node as YamlScalarNode)?.Value ?? throw Wrong(file, node, "expected one value");

    static InputException Wrong(string file, YamlNode node, string what) => new($"{file} line {node.Start.Line}: {what}");
}
