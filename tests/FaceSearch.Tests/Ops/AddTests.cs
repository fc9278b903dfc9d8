using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class AddTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices))
        {
            Expect.SameAsReference(device, x => x[0].Add(x[1]), [shape, shape]);
            Expect.SameAsReference(device, x => x[0].Add(x[0]).Add(x[1]), [shape, shape]);
        }
    }

    [Fact]
    public void GradientIsRight()
    {
        Expect.Gradient(x => x[0].Add(x[1]), [Shape.Map(2, 3, 2, 2), Shape.Map(2, 3, 2, 2)]);
        Expect.Gradient(x => x[0].Add(x[0].Add(x[0])), [Shape.Of(2, 3)]);
    }

    [Fact]
    public void GivesTheGradientToTheOnlyInputThatNeedsIt()
    {
        using var device = Cpu.Create();
        using Tensor a = device.Parameter("a", Shape.Of(2), frozen: true), b = device.Parameter("b", Shape.Of(2));
        using var tape = new Tape(device);
        tape.Seed(tape.Input(Shape.Of(2), [0, 0]).Add(b).Add(a), [3, 4]);
        Assert.Null(a.Gradient);
        Assert.Equal([3, 4], b.Gradient!.ToArray());
    }
}
