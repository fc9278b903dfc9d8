using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>All that a report is made from, read once. Best is the trial that the final step chose, before that the one of highest reward.</summary>
sealed record ReportData(
    StudyInfo Info, SearchSettings Settings, IReadOnlyList<Trial> Trials, Trial? Baseline, Trial? Best,
    IReadOnlyDictionary<string, string> Notes, IReadOnlyList<AuditEntry> Audit)
{
    public Space Space => Info.Space;

    public static ReportData Read(StudyStore store)
    {
        var info = store.Info;
        var (trials, notes) = (store.Trials, store.Notes);
        var winner = notes.TryGetValue("winner", out var number) ? trials.FirstOrDefault(t => $"{t.Number}" == number) : null;
        return new(info, info.ToSettings(), trials, store.Baseline, winner ?? store.Best, notes, store.Audit);
    }

    /// <summary>What the settings' own design has in the place of a decision.</summary>
    public string BaselineOption(Decision decision)
    {
        var text = SettingsSource.ToText(Space.Baseline(Settings.Run));
        var changes = decision.Options[0].Changes.Select(c =>
            new Change(c.Path, text.First(pair => pair.Key.Equals(c.Path, StringComparison.OrdinalIgnoreCase)).Value)).ToArray();
        return decision.Options.FirstOrDefault(o => o.Changes.Zip(changes).All(pair => SameValue(pair.First, pair.Second)))?.Label
            ?? string.Join(' ', changes.Select(c => changes.Length == 1 ? c.Value : $"{c.Path}={c.Value}"));
    }

    bool SameValue(Change a, Change b) =>
        a.Path.Equals(b.Path, StringComparison.OrdinalIgnoreCase)
        && SettingsPath.Get(Settings.Run.With(a.Path, a.Value), a.Path).Equals(SettingsPath.Get(Settings.Run.With(b.Path, b.Value), b.Path));

    /// <summary>What a decision means: the documentation of its settings.</summary>
    public string Meaning(Decision decision)
    {
        var paths = decision.Options[0].Changes.Select(c => c.Path).ToHashSet(StringComparer.OrdinalIgnoreCase);
        return string.Join("; ", SettingsPath.All(Settings.Run).Where(e => paths.Contains(e.Path)).Select(e => e.Help));
    }

    public static string Name(DecisionGroup group) => group switch
    {
        DecisionGroup.Data => "cleaning",
        DecisionGroup.Net => "network",
        _ => "loss",
    };

    /// <summary>The last verification score; NaN where there is none.</summary>
    public static double Score(Trial trial) => trial.Scores.Length == 0 ? double.NaN : trial.Scores[^1];
}
