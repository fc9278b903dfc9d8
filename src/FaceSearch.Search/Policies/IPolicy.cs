using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Search;

/// <summary>A design proposed: its actions, their log-probabilities (empty where the policy has none) and the
/// distribution over the options of each decision that they were drawn from.</summary>
public sealed record Proposal(int[] Actions, double[] LogProbabilities, double[][] Probabilities);

/// <summary>
/// Proposes designs and learns from what became of them. Its state is a pure function of (space, settings, seed, the
/// sequence of calls), with every draw keyed by the trial's number: a stopped study is continued by repeating the
/// calls, so nothing of a policy is ever saved.
/// Trials without a score (rejected, diverged, failed) are observed too, at the lowest reward seen so far: their
/// choices become less likely without one broken trial drowning the differences between good ones. Redrawn
/// duplicates are not observed; the small bias of this conditioning is accepted.
/// </summary>
public interface IPolicy
{
    /// <summary>A design for trial <paramref name="number"/>; another one for each <paramref name="attempt"/>.</summary>
    Proposal Propose(int number, int attempt);

    /// <summary>The design of somebody else as a proposal of this policy.</summary>
    Proposal Score(int[] actions);

    /// <summary>Learns from a finished trial.</summary>
    void Observe(Trial trial);
}

/// <summary>The policies by name.</summary>
public static class Policies
{
    public static readonly string[] Names = ["random", "evolution", "tpe", "reinforce", "ppo"];

    /// <exception cref="InputException">No policy of this name.</exception>
    public static IPolicy Create(Space space, StudySettings study, int seed) => study.Policy.ToLowerInvariant() switch
    {
        "random" => new RandomPolicy(space, seed),
        "evolution" => new EvolutionPolicy(space, study, seed),
        "tpe" => new TpePolicy(space, study, seed),
        "reinforce" => new ControllerPolicy(space, study, seed, clipped: false),
        "ppo" => new ControllerPolicy(space, study, seed, clipped: true),
        _ => throw new InputException($"Study.Policy: no policy '{study.Policy}', expected {string.Join(", ", Names)}"),
    };
}

/// <summary>The random draws of one proposal: a pure function of (seed, trial, attempt).</summary>
sealed class Draws(int seed, int number, int attempt)
{
    const ulong PolicyStream = 0x706F6C69UL << 32;
    ulong index = (ulong)attempt << 32;

    public double Uniform() => Noise.Uniform((ulong)seed, PolicyStream + (ulong)number, index++);
    public int Below(int n) => Noise.Below(n, (ulong)seed, PolicyStream + (ulong)number, index++);

    /// <summary>An index with the given probabilities (they sum to 1 up to rounding).</summary>
    public int From(double[] probabilities)
    {
        double left = Uniform();
        for (int i = 0; i < probabilities.Length - 1; i++)
            if ((left -= probabilities[i]) < 0) return i;
        return probabilities.Length - 1;
    }
}

/// <summary>Gives trials without a score the lowest reward seen so far (chance level before any was seen).</summary>
sealed class RewardFloor
{
    double lowest = double.NaN;

    public double Of(Trial trial)
    {
        if (double.IsNaN(trial.Reward)) return double.IsNaN(lowest) ? 0.5 : lowest;
        lowest = double.IsNaN(lowest) ? trial.Reward : Math.Min(lowest, trial.Reward);
        return trial.Reward;
    }
}

/// <summary>Every option equally likely: the baseline that any other policy must beat.</summary>
public sealed class RandomPolicy(Space space, int seed) : IPolicy
{
    readonly double[][] uniform = [.. space.Counts.Select(n => Enumerable.Repeat(1.0 / n, n).ToArray())];

    public Proposal Propose(int number, int attempt)
    {
        var draws = new Draws(seed, number, attempt);
        return Score([.. space.Counts.Select(draws.Below)]);
    }

    public Proposal Score(int[] actions) => new(actions, [.. space.Counts.Select(n => -Math.Log(n))], uniform);

    public void Observe(Trial trial) { }
}
