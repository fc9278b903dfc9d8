using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Search;

public class PolicyTests
{
    const int Seeds = 20;

    public static TheoryData<string> Learning => ["evolution", "tpe", "reinforce", "ppo"];
    public static TheoryData<string> Every => [.. Policies.Names];

    [Fact]
    public void ControllerGradientIsRight()
    {
        var controller = new LstmController([3, 5, 2, 4], seed: 4);
        for (int i = 0; i < controller.Parameters.Length; i++) controller.Parameters[i] *= 8;
        int[] actions = [2, 0, 1, 3];
        double[] weights = [1.5, -0.7, 0.3, 2];
        const double entropyWeight = 0.4, step = 1e-5;
        controller.Backward(controller.Forward((t, _) => actions[t]), weights, entropyWeight);
        var gradient = controller.Gradient.ToArray();
        for (int i = 0; i < gradient.Length; i++)
        {
            double kept = controller.Parameters[i];
            controller.Parameters[i] = kept + step;
            double above = Loss();
            controller.Parameters[i] = kept - step;
            double below = Loss();
            controller.Parameters[i] = kept;
            // Central differences err by about step² ≈ 1e-10 and rounding by 1e-16 / step = 1e-11.
            Assert.Equal((above - below) / (2 * step), gradient[i], 1e-8);
        }
        Assert.True(gradient.Count(g => Math.Abs(g) > 1e-4) > gradient.Length / 2);

        double Loss()
        {
            var pass = controller.Forward((t, _) => actions[t]);
            double entropy = pass.Probabilities.Sum(p => -p.Sum(v => v * Math.Log(v)));
            return -weights.Select((w, t) => w * pass.LogProbability(t)).Sum() - entropyWeight * entropy;
        }
    }

    [Theory, MemberData(nameof(Learning))]
    public void LearnsWithinHundredsOfTrials(string policy)
    {
        double Mean(string name) => Enumerable.Range(0, 4).Average(seed => Search(name, seed, 250)[^30..].Average());
        Assert.True(Mean(policy) > Mean("random") + 0.1, $"{policy}: mean true reward {Mean(policy):0.000}, random {Mean("random"):0.000}");
    }

    [Theory, MemberData(nameof(Learning))]
    public void DoesNotLoseToRandomOnSmallBudgets(string policy)
    {
        var pairs = Enumerable.Range(0, Seeds).Select(seed => (Ours: Search(policy, seed, 40), Random: Search("random", seed, 40))).ToArray();
        double mean = pairs.Average(p => p.Ours[24..].Average() - p.Random[24..].Average()), best = pairs.Average(p => p.Ours.Max() - p.Random.Max());
        Assert.True(mean > 0, $"{policy}: mean proposal {mean:0.0000} against random");
        Assert.True(best > 0, $"{policy}: best design {best:0.0000} against random");
    }

    [Theory, MemberData(nameof(Learning))]
    public void LearnsToAvoidWhatIsRejected(string policy)
    {
        double Share(string name) => Enumerable.Range(0, 4).Average(seed => Search(name, seed, 150, rejectHalf: true)[100..].Count(double.IsNaN)) / 50;
        double ours = Share(policy), random = Share("random");
        Assert.True(ours < 0.7 * random, $"{policy}: {ours:0.00} rejected, random {random:0.00}");
    }

    [Theory, MemberData(nameof(Every))]
    public void SameSeedSameDesigns(string policy)
    {
        Assert.Equal(Search(policy, 3, 60), Search(policy, 3, 60));
        Assert.NotEqual(Search(policy, 3, 60), Search(policy, 4, 60, problem: 3));
    }

    [Theory, MemberData(nameof(Every))]
    public void NeverProposesADesignTwice(string policy)
    {
        var space = new Space("small", [.. Spaces.Mini.Decisions.Take(2)], [], 0);
        var proposer = new Proposer(space, Policies.Create(space, new StudySettings { Policy = policy }, 1), 2);
        var trials = new List<Trial>();
        for (int n = 0; n < 30; n++) trials.Add(proposer.Next(trials, null) with { State = TrialState.Complete, Reward = n });
        Assert.Equal(30, trials.Select(t => space.Hash(t.Actions)).Distinct().Count());
    }

    [Theory, MemberData(nameof(Every))]
    public void ProbabilitiesAreDistributions(string name)
    {
        var space = Spaces.Mini;
        var policy = Policies.Create(space, new StudySettings { Policy = name }, 1);
        for (int n = 0; n < 40; n++)
        {
            var proposal = policy.Propose(n, 0);
            Assert.Equal(space.Counts, proposal.Probabilities.Select(p => p.Length));
            foreach (var p in proposal.Probabilities) Assert.Equal(1, p.Sum(), 1e-9);
            for (int i = 0; i < proposal.LogProbabilities.Length; i++)
                Assert.Equal(Math.Log(proposal.Probabilities[i][proposal.Actions[i]]), proposal.LogProbabilities[i], 1e-12);
            policy.Observe(new() { Number = n, Actions = proposal.Actions, LogProbabilities = proposal.LogProbabilities, State = TrialState.Complete, Reward = proposal.Actions.Sum() });
        }
    }

    [Fact]
    public void NamesAnUnknownPolicy() =>
        Assert.Equal("Study.Policy: no policy 'rl', expected random, evolution, tpe, reinforce, ppo",
            Assert.Throws<InputException>(() => Policies.Create(Spaces.Mini, new StudySettings { Policy = "rl" }, 1)).Message);

    /// True rewards of the designs in their order; NaN where rejected. The policy sees them with noise and with lag.
    static double[] Search(string name, int seed, int count, bool rejectHalf = false, int? problem = null)
    {
        var space = Spaces.Mini;
        var study = new StudySettings { Policy = name };
        var proposer = new Proposer(space, Policies.Create(space, study, seed), study.Lag);
        var trials = new List<Trial>();
        var truth = new double[count];
        for (int n = 0; n < count; n++)
        {
            var trial = proposer.Next(trials, null);
            bool rejected = rejectHalf && trial.Actions[7] >= 2 && trial.Actions[8] >= 1;
            truth[n] = rejected ? double.NaN : Reward(space, trial.Actions, problem ?? seed);
            double noise = 0.01 * Noise.Normal((ulong)seed, 77, (ulong)n);
            trials.Add(trial with { State = rejected ? TrialState.Rejected : TrialState.Complete, Reward = truth[n] + noise });
        }
        return truth;
    }

    /// Additive but for one coupling; scales and margin weigh most, as in the logs of the paper. One best design a problem.
    static double Reward(Space space, int[] actions, int problem)
    {
        double[] weights = [0.25, 0.04, 0.25, 0.04, 0.08, 0.02, 0.03, 0.05, 0.04];
        double reward = 0.9 - 0.025 * Math.Abs(actions[0] / 9.0 - actions[2] / 4.0);
        for (int i = 0; i < actions.Length; i++)
        {
            int best = Noise.Below(space.Counts[i], (ulong)problem, 999, (ulong)i);
            reward -= weights[i] * Math.Pow((actions[i] - best) / (space.Counts[i] - 1.0), 2);
        }
        return reward;
    }
}
