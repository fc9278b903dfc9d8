using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class Conv2dTests
{
    // images, channels, height, width; outputs, kernel height and width; stride, padding, groups.
    static readonly (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] dense =
    [
        ([1, 1, 1, 1], [1, 1, 1], 1, 0, 1), ([2, 3, 5, 7], [16, 3, 3], 1, 1, 1), ([5, 16, 7, 7], [17, 3, 3], 1, 1, 1), ([1, 33, 14, 14], [40, 3, 3], 1, 1, 1),
        ([2, 17, 13, 29], [33, 3, 3], 2, 1, 1), ([1, 3, 29, 13], [64, 3, 3], 2, 1, 1), ([2, 40, 7, 7], [16, 1, 1], 1, 0, 1), ([1, 16, 13, 29], [33, 1, 1], 2, 0, 1),
        ([2, 32, 4, 4], [32, 3, 3], 2, 1, 1), ([1, 48, 6, 5], [32, 5, 2], 1, 2, 1), ([1, 5, 9, 8], [7, 2, 3], 3, 2, 1), ([2, 3, 11, 12], [32, 7, 7], 2, 3, 1),
        ([1, 2, 3, 4], [3, 1, 1], 3, 1, 1), ([1, 4, 2, 2], [4, 1, 2], 4, 1, 1), ([1, 16, 3, 60], [16, 3, 3], 1, 1, 1), ([3, 20, 1, 1], [36, 1, 1], 1, 0, 1), ([2, 16, 5, 6], [16, 2, 2], 2, 0, 1), ([21, 17, 4, 4], [33, 3, 3], 1, 1, 1), ([18, 16, 4, 3], [16, 1, 1], 1, 0, 1),
    ];

    static readonly (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] grouped =
    [
        ([2, 32, 7, 7], [64, 3, 3], 1, 1, 2), ([1, 48, 5, 7], [16, 3, 3], 2, 1, 1), ([1, 16, 7, 7], [32, 3, 3], 1, 1, 4), ([2, 9, 5, 7], [6, 3, 3], 1, 1, 3),
        ([1, 64, 6, 6], [64, 3, 3], 2, 1, 16), ([2, 24, 5, 5], [48, 1, 1], 1, 0, 3), ([1, 17, 5, 5], [34, 3, 3], 1, 1, 17), ([1, 96, 4, 4], [48, 1, 1], 1, 0, 3),
    ];

    static readonly (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] depthwise =
    [
        ([2, 3, 5, 7], [3, 3, 3], 1, 1, 3), ([5, 16, 7, 7], [16, 3, 3], 2, 1, 16), ([1, 33, 14, 14], [33, 3, 3], 1, 1, 33), ([2, 17, 13, 29], [17, 3, 3], 2, 1, 17),
        ([2, 40, 7, 7], [40, 7, 7], 1, 0, 40), ([1, 17, 4, 6], [17, 4, 6], 1, 0, 17), ([1, 20, 9, 8], [20, 5, 5], 1, 2, 20), ([2, 2, 11, 9], [2, 1, 2], 3, 1, 2), ([1, 18, 1, 1], [18, 1, 1], 1, 0, 18),
        ([3, 17, 1, 1], [17, 3, 3], 1, 1, 17), ([2, 16, 2, 1], [16, 3, 3], 1, 1, 16), ([1, 20, 1, 9], [20, 3, 3], 1, 1, 20), ([2, 33, 3, 2], [33, 3, 3], 1, 1, 33), ([18, 16, 25, 60], [16, 3, 3], 1, 1, 16),
        ([3, 17, 1, 1], [17, 3, 3], 2, 1, 17), ([2, 16, 2, 1], [16, 3, 3], 2, 1, 16), ([1, 20, 1, 2], [20, 3, 3], 2, 1, 20), ([2, 33, 3, 2], [33, 3, 3], 2, 1, 33), ([2, 16, 2, 3], [16, 3, 3], 2, 1, 16), ([18, 16, 25, 60], [16, 3, 3], 2, 1, 16),
        // Large enough to be written past the cache.
        ([2, 17, 256, 257], [17, 3, 3], 1, 1, 17), ([1, 17, 364, 365], [17, 3, 3], 2, 1, 17),
    ];

    [Theory, EveryDevice]
    public void DepthwiseMatchesReference(string instructionSet, int threads) => MatchesReference(instructionSet, threads, depthwise);

    /// Either gradient alone is the one that comes with the other, if perhaps summed in another order.
    [Theory, EveryDevice]
    public void OneGradientAloneIsRight(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (map, kernel, stride, padding, groups) in dense.Concat(depthwise[..^2]))
        {
            Shape shape = Shape.Map(map[0], map[1], map[2], map[3]), weight = Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[2]);
            float[] x = Expect.Normal(shape, 0), w = Expect.Normal(weight, 1);
            float[][] both = Expect.Run(device, t => t[0].Conv2d(t[1], stride, padding, groups), [shape, weight], [x, w]);
            float[] dx = Expect.Run(device, t => t[0].Conv2d(device.From(weight, w), stride, padding, groups), [shape], [x])[1];
            float[] dw = Expect.Run(device, t => t[0].Tape!.Input(shape, x).Conv2d(t[0], stride, padding, groups), [weight], [w])[1];
            Expect.Close(both[1], dx, 1e-5, $"dx of {shape}");
            Expect.Close(both[2], dw, 1e-5, $"dw of {shape}");
        }
    }

    /// Gradients of several readers, whichever adds to the other's.
    [Theory, EveryDevice]
    public void GradientsOfTwoReadersAddUp(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (map, kernel, stride, padding, groups) in dense.Concat(grouped))
        {
            Shape shape = Shape.Map(map[0], map[1], map[2], map[3]), weight = Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[2]);
            int terms = 2 * Math.Max(Math.Max(weight.Cols, kernel[0] / groups * kernel[1] * kernel[2]), map[0] * map[2] * map[3] / stride / stride);
            Expect.SameAsReference(device, x => x[0].Conv2d(x[1], stride, padding, groups).Add(x[0].Conv2d(x[2], stride, padding, groups)), [shape, weight, weight], terms);
        }
        // A shortcut beside its body, in either order, and the map itself beside a convolution of it.
        Shape block = Shape.Map(3, 20, 9, 10), wide = Shape.Of(33, 20, 3, 3), narrow = Shape.Of(33, 20, 1, 1), square = Shape.Of(20, 20, 1, 1);
        Expect.SameAsReference(device, x => x[0].Conv2d(x[2], stride: 2).Add(x[0].Conv2d(x[1], stride: 2, padding: 1)), [block, wide, narrow], terms: 600);
        Expect.SameAsReference(device, x => x[0].Conv2d(x[1], stride: 2, padding: 1).Add(x[0].Conv2d(x[2], stride: 2)), [block, wide, narrow], terms: 600);
        Expect.SameAsReference(device, x => x[0].Add(x[0].Conv2d(x[1])), [block, square], terms: 600);
        Expect.SameAsReference(device, x => x[0].Conv2d(x[1]).Add(x[0]).Add(x[0].Conv2d(x[1])), [block, square], terms: 600);
    }

    [Theory, EveryDevice]
    public void DenseMatchesReference(string instructionSet, int threads) => MatchesReference(instructionSet, threads, dense);

    [Theory, EveryDevice]
    public void GroupedMatchesReference(string instructionSet, int threads) => MatchesReference(instructionSet, threads, grouped);

    [Fact]
    public void ThreadsDoNotChangeABit()
    {
        foreach (var (map, kernel, stride, padding, groups) in dense.Concat(grouped).Concat(depthwise))
        {
            Shape[] shapes = [Shape.Map(map[0], map[1], map[2], map[3]), Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[2])];
            float[][] values = [.. shapes.Select(Expect.Normal)];
            float[][] On(int threads)
            {
                using var device = Cpu.Create(threads);
                return Expect.Run(device, x => x[0].Conv2d(x[1], stride, padding, groups), shapes, values);
            }
            Assert.Equal(On(1), On(3));
        }
    }

    static void MatchesReference(string instructionSet, int threads, (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] cases)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (map, kernel, stride, padding, groups) in cases)
        {
            var shape = Shape.Map(map[0], map[1], map[2], map[3]);
            var weight = Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[2]);
            // The longest of the three sums.
            int terms = Math.Max(Math.Max(weight.Cols, kernel[0] / groups * kernel[1] * kernel[2]), map[0] * map[2] * map[3] / stride / stride);
            Expect.SameAsReference(device, x => x[0].Conv2d(x[1], stride, padding, groups), [shape, weight], terms);
        }
    }

    [Theory]
    [InlineData(3, 4, 3, 3, 1, 1, 1)]
    [InlineData(2, 3, 3, 3, 2, 1, 1)]
    [InlineData(4, 6, 1, 1, 1, 0, 2)]
    [InlineData(3, 3, 3, 3, 2, 1, 3)]
    [InlineData(2, 2, 5, 6, 1, 0, 2)]
    [InlineData(2, 4, 2, 3, 3, 2, 1)]
    public void GradientIsRight(int channels, int outputs, int height, int width, int stride, int padding, int groups) =>
        Expect.Gradient(x => x[0].Conv2d(x[1], stride, padding, groups), [Shape.Map(2, channels, 5, 6), Shape.Of(outputs, channels / groups, height, width)]);

    [Fact]
    public void KnowsASmallExampleByHand()
    {
        using var device = new Reference();
        using var x = device.From(Shape.Map(1, 1, 2, 3), [1, 2, 3, 4, 5, 6]);
        using var weight = device.From(Shape.Of(1, 1, 1, 2), [1, 10]);
        Assert.Equal([21, 32, 54, 65], x.Conv2d(weight).ToArray());
        Assert.Equal([0, 0, 40, 65], x.Conv2d(weight, stride: 2, padding: 1).ToArray());
    }

    [Fact]
    public void CountsMultiplyAccumulates()
    {
        using var device = new Meter();
        using var tape = new Tape(device);
        var weight = device.Parameter("weight", Shape.Of(6, 2, 3, 3));
        var y = tape.Input(Shape.Map(5, 4, 8, 8), new float[5 * 4 * 64]).Conv2d(weight, stride: 2, padding: 1, groups: 2);
        Assert.Equal(Shape.Map(5, 6, 4, 4), y.Shape);
        Assert.Equal(5 * 6 * 16 * 2 * 9, tape.Forward.Macs);
        Assert.Equal(tape.Forward.Macs, tape.BackwardCost.Macs);
    }

    [Fact]
    public void NamesWhatItRejects()
    {
        using var device = new Reference();
        using Tensor x = device.New(Shape.Map(1, 4, 5, 5)), vector = device.New(Shape.Of(8)), weight = device.New(Shape.Of(6, 3, 3, 3)), large = device.New(Shape.Of(6, 4, 7, 7));
        Rejects("Conv2d: weight must have rank 4 but its shape is [8]", () => x.Conv2d(vector));
        Rejects("Conv2d: weight must have shape [6, 4, 3, 3] but its shape is [6, 3, 3, 3]", () => x.Conv2d(weight));
        Rejects("Conv2d: 3 groups must divide the 4 channels of x and the 6 outputs of weight", () => x.Conv2d(weight, groups: 3));
        Rejects("Conv2d: x must be at least as large as the 7×7 kernel but is 5×5 with padding 0", () => x.Conv2d(large));

        static void Rejects(string message, Action act) => Assert.Equal(message, Assert.Throws<ShapeException>(act).Message);
    }
}
