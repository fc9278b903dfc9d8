using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>
/// The sequence of designs of a study. Trial n is proposed when exactly the trials 0 … n − lag are observed, in their
/// order; so the sequence depends on the seed and the results alone, never on timing or the number of workers.
/// </summary>
sealed class Proposer(Space space, IPolicy policy, int lag)
{
    const int Redraws = 20;

    readonly HashSet<string> proposed = [];
    int observed;

    /// <summary>The next trial may be proposed, as the one it waits for is finished.</summary>
    public bool MayPropose(IReadOnlyList<Trial> trials) => trials.Count < lag || trials[trials.Count - lag].IsFinished;

    /// <param name="trials">All trials so far, by number; those up to n − lag finished.</param>
    /// <param name="enqueued">Actions that a person wants at this place, or null.</param>
    public Trial Next(IReadOnlyList<Trial> trials, int[]? enqueued)
    {
        int number = trials.Count;
        while (observed <= number - lag) policy.Observe(trials[observed++]);
        var proposal = enqueued is null ? Unseen(number) : policy.Score(enqueued);
        proposed.Add(space.Hash(proposal.Actions));
        return new()
        {
            Number = number,
            Origin = enqueued is null ? TrialOrigin.Policy : TrialOrigin.Enqueued,
            Actions = proposal.Actions,
            LogProbabilities = proposal.LogProbabilities,
            Probabilities = proposal.Probabilities,
        };
    }

    /// <summary>Repeats a stored proposal, so that the policy is again in the state it was in.</summary>
    /// <exception cref="InputException">The policy proposes something else.</exception>
    public void Replay(IReadOnlyList<Trial> before, Trial stored, int[]? enqueued)
    {
        var again = Next(before, enqueued);
        if (!again.Actions.SequenceEqual(stored.Actions) || !again.LogProbabilities.SequenceEqual(stored.LogProbabilities))
            throw new InputException(
                $"trial {stored.Number} of this study was [{string.Join(",", stored.Actions)}], but repeating it gives [{string.Join(",", again.Actions)}]: " +
                "the study was made by another version, on another machine or with other settings; start a new one");
    }

    /// Draws anew, then walks to the nearest design not yet proposed.
    Proposal Unseen(int number)
    {
        for (int attempt = 0; attempt < Redraws; attempt++)
        {
            var proposal = policy.Propose(number, attempt);
            if (!proposed.Contains(space.Hash(proposal.Actions))) return proposal;
        }
        var start = policy.Propose(number, 0).Actions;
        return policy.Score(Neighbours(start).First(actions => !proposed.Contains(space.Hash(actions))));
    }

    /// All designs, those that differ from the start in the fewest decisions first.
    IEnumerable<int[]> Neighbours(int[] start) =>
        Enumerable.Range(1, start.Length).SelectMany(distance => Changed(start, 0, distance));

    IEnumerable<int[]> Changed(int[] actions, int from, int distance)
    {
        if (distance == 0) yield return actions;
        else
            for (int decision = from; decision <= actions.Length - distance; decision++)
                for (int step = 1; step < space.Counts[decision]; step++)
                {
                    var changed = actions.ToArray();
                    changed[decision] = (changed[decision] + step) % space.Counts[decision];
                    foreach (var design in Changed(changed, decision + 1, distance - 1)) yield return design;
                }
    }
}
