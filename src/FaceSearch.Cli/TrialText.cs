using System.Globalization;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>Trials and times in words, the same in tables and logs.</summary>
static class TrialText
{
    public static string Name(Trial trial) => trial.Number < 0 ? "baseline" : trial.Number.ToString(CultureInfo.InvariantCulture);

    public static string State(Trial trial) => trial.State.ToString().ToLowerInvariant();

    public static string Scores(Trial trial) =>
        string.Join(' ', trial.Scores.Select(s => s.ToString("0.0000", CultureInfo.InvariantCulture)));

    public static string Reward(Trial trial) => double.IsNaN(trial.Reward) ? "" : trial.Reward.ToString("0.0000", CultureInfo.InvariantCulture);

    public static string Line(Trial trial, string design) =>
        string.Create(CultureInfo.InvariantCulture,
            $"trial {Name(trial)} {State(trial)}{Part(" scores", Scores(trial))}{Part(" reward", Reward(trial))} {trial.MMacs:0.#} MMACs {trial.Seconds:0.0} s") +
        Part("", design) + Part(":", trial.Message.Split('\n')[0]);

    /// <summary>0:41, 12:05, 3:07:00.</summary>
    public static string Time(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(long)time.TotalHours}:{time:mm\\:ss}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time:ss}");

    static string Part(string name, string value) => value.Length == 0 ? "" : $"{name} {value}";
}
