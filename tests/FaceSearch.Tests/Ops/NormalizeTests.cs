using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class NormalizeTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (rows, cols) in new[] { (1, 1), (3, 17), (33, 31), (64, 512), (700, 257) })
            Expect.SameAsReference(device, x => x[0].Normalize(), [Shape.Of(rows, cols)], terms: cols);
    }

    [Fact]
    public void GradientIsRight() => Expect.Gradient(x => x[0].Normalize(), [Shape.Of(5, 7)]);

    [Fact]
    public void ARowOfZerosStaysZero()
    {
        using var device = Cpu.Create();
        using var x = device.Parameter("x", Shape.Of(2, 3));
        using var y = x.Normalize();
        Assert.All(y.ToArray(), v => Assert.Equal(0, v));
    }

    [Fact]
    public void NamesTheShapeItRejects()
    {
        using var device = Cpu.Create();
        using var x = device.New(Shape.Of(8));
        var error = Assert.Throws<ShapeException>(() => x.Normalize());
        Assert.Equal("Normalize: x must have rank 2 but its shape is [8]", error.Message);
    }
}
