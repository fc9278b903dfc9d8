using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class MultiplyTests
{
    static Shape Planes(Shape s) => Shape.Map(s.Images, s.Channels, 1, 1);

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices)) Expect.SameAsReference(device, x => x[0].Multiply(x[1]), [shape, shape]);
        foreach (var shape in Ragged.Maps)
            Expect.SameAsReference(device, x => x[0].Multiply(x[1]), [shape, Planes(shape)], terms: shape.Height * shape.Width);
    }

    [Fact]
    public void GradientIsRight()
    {
        var shape = Shape.Map(2, 3, 2, 3);
        Expect.Gradient(x => x[0].Multiply(x[1]), [shape, shape]);
        Expect.Gradient(x => x[0].Multiply(x[1]), [shape, Planes(shape)]);
        Expect.Gradient(x => x[0].Multiply(x[0]), [shape]);
    }

    [Fact]
    public void NamesTheShapeItRejects()
    {
        using var device = Cpu.Create();
        using Tensor a = device.New(Shape.Map(2, 3, 4, 4)), b = device.New(Shape.Map(2, 4, 1, 1));
        var error = Assert.Throws<ShapeException>(() => a.Multiply(b));
        Assert.Equal("Multiply: b must have shape map [2, 3, 1, 1] but its shape is map [2, 4, 1, 1]", error.Message);
    }
}
