using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class TapeTests
{
    [Theory, EveryDevice]
    public void AGradientOfAnotherShapeOrDeviceIsRefused(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using Device other = new Reference();
        using var tape = new Tape(device);
        var x = tape.Input(Shape.Map(1, 2, 4, 4), new float[32]);
        x.NeedsGradient = true;
        using var weight = device.From(Shape.Of(2, 2, 3, 3), new float[36]);
        var y = x.Conv2d(weight, stride: 2, padding: 1);
        using Tensor large = device.New(x.Shape), elsewhere = other.New(y.Shape);
        Assert.Contains("[1, 2, 2, 2]", Assert.Throws<ShapeException>(() => tape.Seed(y, large)).Message);
        Assert.Throws<ShapeException>(() => tape.Seed(y, elsewhere));
    }
}
