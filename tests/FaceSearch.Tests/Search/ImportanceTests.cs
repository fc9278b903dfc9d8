using FaceSearch.Search;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Search;

public class ImportanceTests
{
    static readonly Space Space = Spaces.Mini;

    [Fact]
    public void FindsTheDecisionThatMatters()
    {
        var effects = Importance.MainEffects(Space, Random(60, 1, actions => 0.7 + 0.03 * actions[2]), 1);
        var strongest = effects.MaxBy(e => e.Share)!;
        Assert.Equal("Head.M2", strongest.Decision.Name);
        Assert.Equal("0.5", strongest.BestOption);
        Assert.InRange(strongest.Share, 0.7, 1);
        Assert.Equal(1.0 / (Importance.Permutations + 1), strongest.P);
    }

    [Fact]
    public void FindsNothingWhereNothingIs()
    {
        var p = Enumerable.Range(0, 20).SelectMany(seed => Importance.MainEffects(Space, Random(30, seed, _ => 0.7), seed)).Select(e => e.P).ToArray();
        Assert.Equal(20 * Space.Decisions.Length, p.Length);
        Assert.InRange(p.Count(x => x < 0.05) / (double)p.Length, 0.01, 0.1);
        Assert.InRange(p.Average(), 0.43, 0.57);
    }

    [Fact]
    public void TooFewTrialsHaveNoP() =>
        Assert.All(Importance.MainEffects(Space, Random(7, 1, _ => 0.7), 1), e => Assert.True(double.IsNaN(e.P)));

    [Fact]
    public void HolmMultipliesAndNeverFalls() =>
        Assert.Equal([0.03, double.NaN, 0.06, 0.06], Importance.Holm([0.01, double.NaN, 0.04, 0.03]), (a, b) => a.Equals(b) || Math.Abs(a - b) < 1e-12);

    [Fact]
    public void CoupledPartsAreFound()
    {
        int found = Enumerable.Range(0, 10).Count(seed => Interaction.All(Space, Random(80, seed, Coupled), seed)
            .Single(p => (p.First, p.Second) == (DecisionGroup.Data, DecisionGroup.Loss)).P < 0.05);
        Assert.InRange(found, 8, 10);
    }

    [Fact]
    public void PartsThatOnlyAddUpAreNotCoupled()
    {
        var p = Enumerable.Range(0, 20).SelectMany(seed => Interaction.All(Space, Random(80, seed, Additive), seed)).Select(i => i.P).ToArray();
        Assert.Equal(60, p.Length);
        Assert.InRange(p.Count(x => x < 0.05), 0, 7);
    }

    [Fact]
    public void TooFewTrialsHaveNoInteraction() =>
        Assert.All(Interaction.All(Space, Random(12, 1, Coupled), 1), i => Assert.True(double.IsNaN(i.P)));

    static double Additive(int[] actions) => 0.6 + 0.01 * (actions[4] + actions[2] + actions[7]);

    static double Coupled(int[] actions) => Additive(actions) + (actions[4] >= 4 && actions[2] >= 2 ? 0.06 : 0);

    /// Uniform designs, scored with noise of 0.01.
    static Trial[] Random(int trials, int seed, Func<int[], double> score) => [.. Enumerable.Range(0, trials).Select(n =>
    {
        int[] actions = [.. Space.Counts.Select((count, d) => Noise.Below(count, (ulong)seed, (ulong)d, (ulong)n))];
        return new Trial { Number = n, Actions = actions, State = TrialState.Complete, Scores = [score(actions) + 0.01 * Noise.Normal((ulong)seed, 99, (ulong)n)] };
    })];
}
