using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>Takes one trial from queued to its end: plan, rungs, reward; every way to end badly becomes a state.</summary>
sealed class TrialTrainer(ITrialRunner runner, SearchSettings settings, Space space, double targetMMacs)
{
    const int LongestMessage = 4000;
    readonly double[] rungs = settings.Study.RungShares();

    public double TargetMMacs => targetMMacs;

    /// <summary>The trial as it was before it was started.</summary>
    public static Trial Again(Trial trial, TrialState state) =>
        trial with { State = state, Scores = [], Reward = double.NaN, Loss = double.NaN, Message = "" };

    /// <param name="peers">Trials known when this one was proposed: it is measured against these alone.</param>
    /// <param name="rungReached">Told the trial and the images trained on after each rung but the last.</param>
    /// <returns>The finished trial; queued again where the token was cancelled.</returns>
    /// <exception cref="InputException">The baseline failed: the settings are at fault, not the design.</exception>
    public Trial Run(Trial trial, IReadOnlyList<Trial> peers, CancellationToken stop, Action<Trial, long> rungReached)
    {
        try
        {
            var design = trial.Number < 0 ? space.Baseline(settings.Run) : space.Apply(settings.Run, trial.Actions);
            var plan = runner.Plan(design);
            trial = Again(trial, TrialState.Running) with
            {
                MMacs = plan.MMacs,
                MParams = plan.MParams,
                MemoryMiB = plan.MemoryMiB,
                KeptImages = plan.KeptImages,
                KeptIdentities = plan.KeptIdentities,
            };
            return plan.Rejection.Length > 0
                ? trial with { State = TrialState.Rejected, Message = plan.Rejection }
                : Train(trial, design, peers, stop, rungReached);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return Again(trial, TrialState.Queued);
        }
        catch (InputException e) when (trial.Number < 0)
        {
            throw new InputException($"the baseline cannot be trained: {e.Message}", e);
        }
        catch (Exception e)
        {
            var text = e is InputException ? e.Message : e.ToString();
            return trial with { State = TrialState.Failed, Message = text[..Math.Min(text.Length, LongestMessage)] };
        }
    }

    Trial Train(Trial trial, Settings design, IReadOnlyList<Trial> peers, CancellationToken stop, Action<Trial, long> rungReached)
    {
        using var run = runner.Start(design);
        for (int rung = 0; rung < rungs.Length; rung++)
        {
            var result = run.Advance(rungs[rung], stop);
            if (result.Diverged.Length > 0 || double.IsNaN(result.Score))
                return trial with { State = TrialState.Diverged, Reward = double.NaN, Loss = result.Loss, Message = result.Diverged };
            trial = trial with { Scores = [.. trial.Scores, result.Score], Loss = result.Loss, Reward = Reward(result.Score, trial.MMacs) };
            bool last = rung == rungs.Length - 1;
            if (!last && trial.Number >= 0 && Lags(trial, rung, peers))
                return trial with { State = TrialState.Pruned, Message = $"below the median at {rungs[rung]:0.##} of the budget" };
            if (!last) rungReached(trial, result.Images);
        }
        return trial with { State = TrialState.Complete };
    }

    double Reward(double score, double mmacs) => score - settings.Study.FlopsPenalty * Math.Abs(mmacs / targetMMacs - 1);

    bool Lags(Trial trial, int rung, IReadOnlyList<Trial> peers)
    {
        var scores = peers.Where(p => p.Scores.Length > rung).Select(p => p.Scores[rung]).Order().ToArray();
        if (settings.Study.PruneAfter == 0 || scores.Length < settings.Study.PruneAfter) return false;
        double median = (scores[(scores.Length - 1) / 2] + scores[scores.Length / 2]) / 2;
        return trial.Scores[rung] < median;
    }
}
