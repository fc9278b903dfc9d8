using System.Numerics;
using FaceSearch.Search;
using Xunit;

namespace FaceSearch.Tests.Search;

public class ComparisonTests
{
    [Fact]
    public void PairsBySeed()
    {
        var c = SeedComparison.Of(Seeds(0.84, 0.85, 0.83), Seeds(0.78, 0.79, 0.78));
        double t = 17;                                          // mean 17/3, standard deviation 1/√3 of three
        Assert.Equal(1 - t / Math.Sqrt(2 + t * t), c.P, 1e-9);  // Student's t of two degrees of freedom in closed form
        Assert.Equal(0.17 / 3, c.Difference, 1e-12);
        Assert.Equal(4.302653 * 0.01 / 3, c.HalfWidth, 1e-7);
        Assert.StartsWith("significant (paired t-test over 3 seeds", c.Verdict);
    }

    [Fact]
    public void WelchWithoutCommonSeeds()
    {
        var other = Seeds(0.78, 0.79, 0.80).ToDictionary(pair => "1" + pair.Key, pair => pair.Value);
        var c = SeedComparison.Of(Seeds(0.79, 0.80, 0.81), other);
        double t = 1 / Math.Sqrt(2.0 / 3), x = 1 + t * t / 4;   // equal variances: four degrees of freedom
        Assert.Equal(1 - 0.75 * t / Math.Sqrt(x) * (1 - t * t / x / 12), c.P, 1e-9);
        Assert.StartsWith("not significant (Welch's t-test", c.Verdict);
    }

    [Fact]
    public void TwoSeedsAreTooFew()
    {
        var c = SeedComparison.Of(Seeds(0.9, 0.9), Seeds(0.1, 0.2));
        Assert.Equal("not significant: too few seeds", c.Verdict);
        Assert.True(double.IsNaN(c.P));
        Assert.Equal(0.75, c.Difference, 1e-12);
    }

    [Fact]
    public void NoSpreadIsNotTested() =>
        Assert.StartsWith("not tested: no spread", SeedComparison.Of(Seeds(0.5, 0.5, 0.5), Seeds(0.25, 0.25, 0.25)).Verdict);

    [Fact]
    public void ExpectedBestIsTheMeanOverAllSubsets()
    {
        double[] rewards = [0.7, 0.2, 0.9, 0.4, 0.4, 0.85];
        var expected = RandomReference.ExpectedBest([.. rewards.Select(Complete)]);
        for (int k = 1; k <= rewards.Length; k++)
        {
            var subsets = Enumerable.Range(1, (1 << rewards.Length) - 1).Where(s => BitOperations.PopCount((uint)s) == k);
            Assert.Equal(subsets.Average(s => rewards.Where((_, i) => (s >> i & 1) == 1).Max()), expected[k - 1], 1e-12);
        }
    }

    [Fact]
    public void TrialsWithoutFinalRewardCountAsTheLowest()
    {
        var failed = Complete(0.99) with { State = TrialState.Pruned };
        Assert.Equal(RandomReference.ExpectedBest([Complete(0.3), Complete(0.8), Complete(0.3)]), RandomReference.ExpectedBest([Complete(0.3), Complete(0.8), failed]));
        Assert.Empty(RandomReference.ExpectedBest([failed]));
    }

    [Fact]
    public void OnlyNearlyUniformProposalsOfThePolicyArePooled()
    {
        var uniform = Complete(0.5) with { Probabilities = [[0.5, 0.5], [0.26, 0.24, 0.25, 0.25]] };
        var pool = RandomReference.Pool([uniform, uniform with { Origin = TrialOrigin.Enqueued }, uniform with { Probabilities = [[0.9, 0.1], [0.7, 0.1, 0.1, 0.1]] }, uniform with { Probabilities = [] }, uniform with { State = TrialState.Running }]);
        Assert.Equal([uniform], pool);
    }

    [Fact]
    public void NothingBeatsTheParetoFront()
    {
        var trials = Enumerable.Range(0, 40).Select(n => Complete(0) with { Number = n, MMacs = n * 7 % 20, Scores = [n * 11 % 17 / 17.0] }).ToArray();
        var front = ReportCost.Front(trials);
        bool Beats(Trial a, Trial b) => a.MMacs <= b.MMacs && a.Scores[0] >= b.Scores[0] && (a.MMacs < b.MMacs || a.Scores[0] > b.Scores[0]);
        Assert.All(front, f => Assert.DoesNotContain(trials, t => Beats(t, f)));
        Assert.All(trials.Except(front), t => Assert.Contains(front, f => Beats(f, t) || (f.MMacs == t.MMacs && f.Scores[0] == t.Scores[0])));
    }

    static Trial Complete(double reward) => new() { Number = 0, Actions = [], State = TrialState.Complete, Reward = reward };

    static Dictionary<string, double> Seeds(params double[] figures) => figures.Select((f, i) => (f, i)).ToDictionary(pair => $"{pair.i + 1}", pair => pair.f);
}
