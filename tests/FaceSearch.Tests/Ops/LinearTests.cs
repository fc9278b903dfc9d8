using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class LinearTests
{
    static readonly (int Rows, int In, int Out)[] Sizes = [(1, 1, 1), (5, 17, 33), (2, 512, 16), (33, 31, 65), (13, 700, 1), (29, 100, 300), (130, 600, 257)];

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (rows, width, outputs) in Sizes)
            Expect.SameAsReference(device, x => x[0].Linear(x[1], x[2]), [Shape.Of(rows, width), Shape.Of(outputs, width), Shape.Of(outputs)], terms: Math.Max(rows, Math.Max(width, outputs)));
    }

    [Fact]
    public void GradientIsRight()
    {
        Expect.Gradient(x => x[0].Linear(x[1], x[2]), [Shape.Of(3, 4), Shape.Of(5, 4), Shape.Of(5)]);
        Expect.Gradient(x => x[0].Linear(x[1]), [Shape.Of(3, 4), Shape.Of(5, 4)]);
    }

    [Fact]
    public void CountsItsMacs()
    {
        using var device = new Meter();
        using var tape = new Tape(device);
        tape.New(Shape.Of(2, 512)).Linear(device.Parameter("w", Shape.Of(100, 512)));
        Assert.Equal(2 * 512 * 100, tape.Forward.Macs);
        Assert.Equal(2 * 512 * 100, tape.BackwardCost.Macs);
    }

    [Fact]
    public void NamesTheShapeItRejects()
    {
        using var device = Cpu.Create();
        using Tensor x = device.New(Shape.Of(2, 8)), weight = device.New(Shape.Of(3, 9));
        var error = Assert.Throws<ShapeException>(() => x.Linear(weight));
        Assert.Equal("Linear: x has 8 columns but weight [3, 9] takes 9", error.Message);
    }
}
