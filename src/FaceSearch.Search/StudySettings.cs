using System.Globalization;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>How a search goes about it.</summary>
public sealed record StudySettings
{
    [Setting("name of the study, also that of its file")]
    public string Name { get; init; } = "search";
    [Setting("search space: mini, paper, or a YAML file with decisions (path: [options])")]
    public string Space { get; init; } = "mini";
    [Setting("policy: random, evolution, tpe, reinforce or ppo")]
    public string Policy { get; init; } = "tpe";
    [Setting("trials, the baseline not counted", 1, 1000000)]
    public int Trials { get; init; } = 40;
    [Setting("trials side by side, one thread each; 0 = one for each processor, at most the lag", 0, 4096)]
    public int Workers { get; init; }
    [Setting("a trial is proposed when all but this many trials before it, itself counted, are known; at least the workers", 1, 4096)]
    public int Lag { get; init; } = 4;
    [Setting("trials in one update of a learning policy", 1, 10000)]
    public int Batch { get; init; } = 4;
    [Setting("shares of the budget at which a trial is verified, the last one 1")]
    public string Rungs { get; init; } = "0.25,0.5,1";
    [Setting("trials that must have reached a rung before others are stopped there; 0 = never stop", 0, 1000000)]
    public int PruneAfter { get; init; } = 6;
    [Setting("weight β of |FLOPs / target − 1| in the reward", 0, 10)]
    public double FlopsPenalty { get; init; } = 0.05;
    [Setting("FLOPs target in millions of multiply-accumulates; 0 = the space's, or else the baseline's", 0, 1e9)]
    public double FlopsTarget { get; init; }
    [Setting("what trials are compared by on the pairs for choosing: accuracy, auc (steadier when pairs are few), or auc_all (steadier still: of all pairs that their photographs make, every person with the same weight)")]
    public string Score { get; init; } = "accuracy";
    [Setting("best complete trials that are trained again with another seed before the winner is named; 1 = none", 1, 1000)]
    public int Finalists { get; init; } = 3;
    [Setting("new seeds with which winner and baseline are trained at the end, at the trials' budget", 0, 100)]
    public int FinalSeeds { get; init; } = 3;
    [Setting("train winner and baseline at the end on the people of the choosing pairs as well: nothing is left to choose by then")]
    public bool Refit { get; init; }
    [Setting("one last, long training of the winner: its settings in place of the winner's, for example 'Train.Budget=25 Net.Dropout=0.5'; empty = none")]
    public string Last { get; init; } = "";
    [Setting("train the settings' own design as well, to compare with")]
    public bool Baseline { get; init; } = true;
    [Setting("random proposals before tpe models the results", 1, 10000)]
    public int RandomStart { get; init; } = 10;
    [Setting("designs alive in evolution", 2, 100000)]
    public int Population { get; init; } = 10;
    [Setting("designs of which evolution takes the best as parent", 1, 100000)]
    public int Tournament { get; init; } = 4;
    [Setting("learning rate of the controller (reinforce, ppo)", 1e-6, 1)]
    public double ControllerRate { get; init; } = 0.02;
    [Setting("weight of the entropy bonus of the controller (reinforce, ppo)", 0, 10)]
    public double Entropy { get; init; } = 0.03;

    /// <summary>A design as it is trained last.</summary>
    /// <exception cref="InputException">Study.Last is not a list of settings, or changes the faces.</exception>
    public Settings LastOf(Settings design)
    {
        foreach (var set in Last.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            try
            {
                var (path, value) = set.Split('=', 2) is [var before, var after] ? (before, after) : throw new InputException($"'{set}' is not path=value");
                design = design.With(path, value);
                if (path.StartsWith(nameof(Settings.Data), StringComparison.OrdinalIgnoreCase)) throw new InputException($"{path}: all trainings of a study have the same faces");
            }
            catch (InputException e) { throw new InputException($"Study.Last: {e.Message}", e); }
        return design;
    }

    /// <summary>The rungs as ascending shares ending in 1.</summary>
    /// <exception cref="InputException">Not numbers, not ascending, or the last one is not 1.</exception>
    public double[] RungShares()
    {
        var shares = new List<double>();
        foreach (var part in Rungs.Split(',', StringSplitOptions.TrimEntries))
            shares.Add(double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out var share) ? share : double.NaN);
        bool ascending = shares.Zip(shares.Skip(1)).All(pair => pair.First < pair.Second);
        if (!(shares[0] > 0 && ascending && shares[^1] == 1))
            throw new InputException($"Study.Rungs: '{Rungs}' is not a list of ascending shares that ends in 1, for example 0.25,0.5,1");
        return [.. shares];
    }
}

/// <summary>All that `facesearch search` can be told: the settings of a run and those of the study, side by side.</summary>
public sealed record SearchSettings : Settings
{
    public StudySettings Study { get; init; } = new();

    /// <summary>The settings of a run alone: what a trial is told.</summary>
    public Settings Run => new() { Seed = Seed, Data = Data, Clean = Clean, Net = Net, Head = Head, Train = Train, Limits = Limits };
}
