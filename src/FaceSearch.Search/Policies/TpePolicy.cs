namespace FaceSearch.Search;

/// <summary>
/// Tree-structured Parzen estimator over options (Bergstra et al. 2011): one distribution of the best share of the
/// trials, one of the rest; of 24 draws from the first, the one whose ratio of the two is greatest.
/// Each option starts with a prior weight that sums to one trial over the decision's options.
/// </summary>
public sealed class TpePolicy(Space space, StudySettings study, int seed) : IPolicy
{
    const int Candidates = 24;
    const double GoodShare = 0.2;

    readonly RandomPolicy random = new(space, seed);
    readonly RewardFloor floor = new();
    readonly List<(int[] Actions, double Reward)> seen = [];

    public Proposal Propose(int number, int attempt)
    {
        if (seen.Count < study.RandomStart) return random.Propose(number, attempt);
        var (good, bad) = Densities();
        var draws = new Draws(seed, number, attempt);
        var best = Enumerable.Range(0, Candidates)
            .Select(_ => good.Select(draws.From).ToArray())
            .MaxBy(actions => actions.Select((a, i) => Math.Log(good[i][a] / bad[i][a])).Sum())!;
        return new(best, [], good);
    }

    /// <summary>The probabilities are those of the good trials.</summary>
    public Proposal Score(int[] actions) =>
        seen.Count < study.RandomStart ? random.Score(actions) : new(actions, [], Densities().Good);

    public void Observe(Trial trial) => seen.Add((trial.Actions, floor.Of(trial)));

    (double[][] Good, double[][] Bad) Densities()
    {
        var ranked = seen.OrderByDescending(s => s.Reward).Select(s => s.Actions).ToArray();
        int good = (int)Math.Ceiling(GoodShare * ranked.Length);
        return (Density(ranked[..good]), Density(ranked[good..]));
    }

    double[][] Density(int[][] designs) =>
    [
        .. space.Counts.Select((count, decision) =>
        {
            var density = Enumerable.Repeat(1.0 / count / (designs.Length + 1), count).ToArray();
            foreach (var actions in designs) density[actions[decision]] += 1.0 / (designs.Length + 1);
            return density;
        }),
    ];
}
