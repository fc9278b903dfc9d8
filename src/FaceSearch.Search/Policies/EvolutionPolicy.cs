namespace FaceSearch.Search;

/// <summary>
/// Regularised evolution (Real et al. 2019): the best of a random tournament is copied with one decision changed; the
/// oldest of the population dies, however good. Random until the population is full.
/// </summary>
public sealed class EvolutionPolicy(Space space, StudySettings study, int seed) : IPolicy
{
    readonly RandomPolicy random = new(space, seed);
    readonly RewardFloor floor = new();
    readonly List<(int[] Actions, double Reward)> population = [];
    readonly int[] mutable = [.. Enumerable.Range(0, space.Counts.Length).Where(i => space.Counts[i] > 1)];

    public Proposal Propose(int number, int attempt)
    {
        if (population.Count < study.Population || mutable.Length == 0) return random.Propose(number, attempt);
        var draws = new Draws(seed, number, attempt);
        var parent = Enumerable.Range(0, study.Tournament).Select(_ => population[draws.Below(population.Count)]).MaxBy(d => d.Reward);
        var child = parent.Actions.ToArray();
        int decision = mutable[draws.Below(mutable.Length)];
        child[decision] = (child[decision] + 1 + draws.Below(space.Counts[decision] - 1)) % space.Counts[decision];
        return Score(child);
    }

    /// <summary>The probabilities are the shares of the options in the population.</summary>
    public Proposal Score(int[] actions) =>
        population.Count < study.Population ? random.Score(actions) : new(actions, [], [.. space.Counts.Select(Shares)]);

    public void Observe(Trial trial)
    {
        population.Add((trial.Actions, floor.Of(trial)));
        if (population.Count > study.Population) population.RemoveAt(0);
    }

    double[] Shares(int count, int decision)
    {
        var shares = new double[count];
        foreach (var (actions, _) in population) shares[actions[decision]] += 1.0 / population.Count;
        return shares;
    }
}
