using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class DropoutTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices)) Expect.SameAsReference(device, x => x[0].Dropout(0.4f, 3, 5), [shape]);
    }

    [Fact]
    public void GradientIsRight() => Expect.Gradient(x => x[0].Dropout(0.4f, 3, 5), [Shape.Map(2, 3, 2, 3)]);

    [Fact]
    public void DropsTheStatedShareAndKeepsTheMean()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device);
        const int n = 100_000;
        var y = tape.Input(Shape.Of(n), [.. Enumerable.Repeat(1f, n)]).Dropout(0.25f, 1, 1).ToArray();
        // Five standard deviations of a binomial share.
        double five = 5 * Math.Sqrt(0.25 * 0.75 / n);
        Assert.InRange(y.Count(v => v == 0) / (double)n, 0.25 - five, 0.25 + five);
        Assert.InRange(y.Average(), 1 - five / 0.75, 1 + five / 0.75);
    }

    [Fact]
    public void StepsDifferAndSeedsRepeat()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device);
        var x = tape.Input(Shape.Of(64), [.. Enumerable.Repeat(1f, 64)]);
        Assert.Equal(x.Dropout(0.5f, 1, 1).ToArray(), x.Dropout(0.5f, 1, 1).ToArray());
        Assert.NotEqual(x.Dropout(0.5f, 1, 1).ToArray(), x.Dropout(0.5f, 1, 2).ToArray());
    }

    [Fact]
    public void IsTheIdentityWhenNothingIsRecorded()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device, record: false);
        var x = tape.Input(Shape.Of(3), [1, 2, 3]);
        Assert.Same(x, x.Dropout(0.5f, 1, 1));
    }

    [Fact]
    public void RefusesARateOfOne()
    {
        using var device = Cpu.Create();
        using var x = device.New(Shape.Of(3));
        Assert.Equal("Dropout: rate must be from 0 to below 1 but is 1", Assert.Throws<ShapeException>(() => x.Dropout(1, 1, 1)).Message);
    }
}
