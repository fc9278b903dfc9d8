using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class FlattenTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps) Expect.SameAsReference(device, x => x[0].Flatten(), [shape], slack: 0);
    }

    [Fact]
    public void GradientIsRight() => Expect.Gradient(x => x[0].Flatten(), [Shape.Map(2, 3, 2, 3)]);

    [Theory, EveryDevice]
    public void ItsGradientHasZeroPadding(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        var shape = Shape.Map(2, 3, 5, 7);
        using var x = device.Parameter("x", shape);
        using var tape = new Tape(device);
        // The parameter itself is on no tape; adding an input puts it there.
        var y = tape.Input(shape, new float[shape.Count]).Add(x).Flatten();
        tape.Seed(y, Expect.Normal(y.Shape, 0));
        Assert.True(Padding.IsZero(x.Gradient!));
    }
}
