using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class PReluTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices))
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]), [shape, Shape.Of(shape.Channels)], terms: Ragged.PerChannel(shape));
    }

    /// Readers that compute it as they load it, and gradients that another still reads.
    [Theory, EveryDevice]
    public void EveryReaderMatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var map in new[] { Shape.Map(2, 5, 4, 3), Shape.Map(3, 17, 7, 9), Shape.Map(2, 32, 12, 12) })
        {
            Shape slope = Shape.Of(map.Channels), square = Shape.Of(map.Channels, map.Channels, 3, 3), depthwise = Shape.Of(map.Channels, 1, 3, 3);
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]).Conv2d(x[2], padding: 1), [map, slope, square], terms: 9 * (int)map.Count);
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]).Conv2d(x[2], padding: 1, groups: map.Channels), [map, slope, depthwise], terms: 9 * (int)map.Count);
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]).Add(x[2]), [map, slope, map], terms: (int)map.Count);
            Expect.SameAsReference(device, x => x[2].Add(x[0].PRelu(x[1])), [map, slope, map], terms: (int)map.Count);
            Expect.SameAsReference(device, x => Twice(x[0].PRelu(x[1])), [map, slope], terms: (int)map.Count);
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]).PRelu(x[1]), [map, slope], terms: (int)map.Count);
        }

        static Tensor Twice(Tensor x) => x.Add(x);
    }

    [Fact]
    public void GradientIsRight()
    {
        // Its gradient is another's as well.
        Expect.Gradient(x => x[0].PRelu(x[1]).Add(x[2]), [Shape.Map(2, 3, 4, 2), Shape.Of(3), Shape.Map(2, 3, 4, 2)]);
        Expect.Gradient(x => x[0].PRelu(x[1]).Conv2d(x[2], padding: 1).Add(x[0]), [Shape.Map(2, 3, 4, 2), Shape.Of(3), Shape.Of(3, 3, 3, 3)]);
        Expect.Gradient(x => x[0].PRelu(x[1]), [Shape.Map(2, 3, 4, 2), Shape.Of(3)]);
        Expect.Gradient(x => x[0].PRelu(x[1]), [Shape.Of(4, 3), Shape.Of(3)]);
    }

    [Theory, EveryDevice]
    public void ANotANumberSurvives(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using Tensor x = device.From(Shape.Of(1, 1), [float.NaN]), slope = device.From(Shape.Of(1), [0.25f]);
        using var y = x.PRelu(slope);
        Assert.Equal(float.NaN, y.Item());
    }

    [Fact]
    public void NamesTheShapeItRejects()
    {
        using var device = Cpu.Create();
        using Tensor x = device.New(Shape.Map(1, 3, 2, 2)), slope = device.New(Shape.Of(4));
        var error = Assert.Throws<ShapeException>(() => x.PRelu(slope));
        Assert.Equal("PRelu: slope must have shape [3] but its shape is [4]", error.Message);
    }
}
