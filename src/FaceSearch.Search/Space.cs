using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>The aspect of a design that a decision belongs to.</summary>
public enum DecisionGroup { Data, Net, Loss }

/// <summary>One setting changed: the same dotted path and text as `--set path=value`.</summary>
public sealed record Change(string Path, string Value);

/// <summary>One choice: a label and what it changes.</summary>
public sealed record Option(string Label, Change[] Changes);

/// <summary>One of several options must be chosen. Its name is the settings path where there is only one.</summary>
public sealed record Decision(string Name, Option[] Options)
{
    /// <summary>Read off the first path: Clean is data, Net is the network, Head and Train are the loss.</summary>
    [JsonIgnore]
    public DecisionGroup Group => Options[0].Changes[0].Path.Split('.')[0].ToLowerInvariant() switch
    {
        "clean" => DecisionGroup.Data,
        "net" => DecisionGroup.Net,
        _ => DecisionGroup.Loss,
    };
}

/// <summary>
/// What a search may choose: decisions in the order in which a policy takes them, and what all designs share.
/// A design is one option index for each decision (`actions`).
/// </summary>
public sealed class Space
{
    /// <param name="name">Shown in the study and its report.</param>
    /// <param name="decisions">At least one; no path may be decided twice.</param>
    /// <param name="shared">Changes made to the settings before any decision.</param>
    /// <param name="targetMMacs">FLOPs target in millions of multiply-accumulates; 0 = those of the baseline.</param>
    /// <exception cref="InputException">An unknown path, a value out of range, an empty or doubled decision, one that comes too late.</exception>
    public Space(string name, Decision[] decisions, Change[] shared, double targetMMacs)
    {
        (Name, Decisions, Shared, TargetMMacs) = (name, decisions, shared, targetMMacs);
        if (decisions.Length == 0) throw Wrong("it has no decisions; name at least one settings path with its options");
        var settings = shared.Aggregate(new Settings(), Set);
        var decided = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var decision in decisions)
        {
            if (decision.Options.Length == 0 || decision.Options.Any(o => o.Changes.Length == 0))
                throw Wrong($"decision {decision.Name} has no options or an option that changes nothing");
            foreach (var change in decision.Options.SelectMany(o => o.Changes)) Set(settings, change);
            foreach (var path in decision.Options.SelectMany(o => o.Changes).Select(c => c.Path).Distinct(StringComparer.OrdinalIgnoreCase))
                if (!decided.Add(path)) throw Wrong($"{path} is decided twice; leave it in one decision");
                else if (MadeOnce.Any(p => path.StartsWith(p, StringComparison.OrdinalIgnoreCase)))
                    throw Wrong($"{path} cannot be decided: faces and teacher are made once, for all trials; put it under shared");
            if (decision.Options.Select(Canonical).Distinct().Count() < decision.Options.Length)
                throw Wrong($"decision {decision.Name} lists the same option twice");
        }
    }

    static readonly string[] MadeOnce = ["Data.", "Seed", "Clean.Teacher"];

    public string Name { get; }
    public Decision[] Decisions { get; }
    public Change[] Shared { get; }
    public double TargetMMacs { get; }

    /// <summary>How many designs there are.</summary>
    [JsonIgnore]
    public double Size => Decisions.Aggregate(1.0, (size, d) => size * d.Options.Length);

    /// <summary>Options of each decision.</summary>
    [JsonIgnore]
    public int[] Counts => [.. Decisions.Select(d => d.Options.Length)];

    /// <summary>The settings of the undecided design: the given ones with what all designs share.</summary>
    public Settings Baseline(Settings settings) => Shared.Aggregate(settings, Set);

    /// <summary>The settings of a design.</summary>
    public Settings Apply(Settings settings, int[] actions) => Changes(actions).Aggregate(Baseline(settings), Set);

    /// <summary>What a design decides, in the order of the decisions.</summary>
    public IEnumerable<Change> Changes(int[] actions)
    {
        CheckActions(actions);
        return Decisions.SelectMany((d, i) => d.Options[actions[i]].Changes);
    }

    /// <summary>Sixteen hexadecimal digits that name a design, whatever the order of decisions and options.</summary>
    public string Hash(int[] actions)
    {
        var text = string.Join('\n', Changes(actions).Select(c => $"{c.Path.ToLowerInvariant()}={c.Value}").Order(StringComparer.Ordinal));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..16];
    }

    /// <summary>A design in words: `Head.M2=0.2 Net.Width=0.5 …`.</summary>
    public string Describe(int[] actions)
    {
        CheckActions(actions);
        return string.Join(' ', Decisions.Select((d, i) => $"{d.Name}={d.Options[actions[i]].Label}"));
    }

    void CheckActions(int[] actions)
    {
        if (actions.Length != Decisions.Length || actions.Where((a, i) => a < 0 || a >= Decisions[i].Options.Length).Any())
            throw Wrong($"[{string.Join(",", actions)}] is not one option for each of its decisions [{string.Join(",", Counts)}]");
    }

    Settings Set(Settings settings, Change change)
    {
        try { return settings.With(change.Path, change.Value); }
        catch (InputException e) { throw Wrong(e.Message); }
    }

    static string Canonical(Option option) =>
        string.Join('\n', option.Changes.Select(c => $"{c.Path.ToLowerInvariant()}={c.Value}").Order(StringComparer.Ordinal));

    InputException Wrong(string what) => new($"search space '{Name}': {what}");
}
