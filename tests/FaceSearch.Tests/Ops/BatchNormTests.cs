using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class BatchNormTests
{
    static Op Norm(bool training) => x =>
    {
        int channels = x[0].Shape.Channels;
        var device = x[0].Device;
        var mean = device.From(Shape.Of(channels), [.. Enumerable.Range(0, channels).Select(c => c % 5 - 2f)]);
        var variance = device.From(Shape.Of(channels), [.. Enumerable.Range(0, channels).Select(c => 0.5f + c % 3)]);
        return x[0].BatchNorm(x[1], x[2], mean, variance, training);
    };

    static Shape[] With(Shape x) => [x, Shape.Of(x.Channels), Shape.Of(x.Channels)];

    // dx subtracts two means over m elements: its error is that of sums of m terms.
    [Theory, EveryDevice]
    public void TrainingMatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        // Two values a channel may lie arbitrarily close to each other; there dx is all cancellation.
        foreach (var shape in Ragged.Batches.Where(s => Ragged.PerChannel(s) > 2))
            Expect.SameAsReference(device, Norm(training: true), With(shape), terms: Ragged.PerChannel(shape));
    }

    /// On a CPU several images share partial sums, and an image may be several tiles.
    [Theory, EveryDevice(Gpu = false)]
    public void ManyAndLargeImagesMatchReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in new[] { Shape.Map(19, 20, 3, 2), Shape.Map(2, 40, 57, 56) })
        {
            var slope = Shape.Of(shape.Channels);
            Expect.SameAsReference(device, Norm(training: true), With(shape), terms: Ragged.PerChannel(shape));
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]), [shape, slope], terms: Ragged.PerChannel(shape));
            Expect.SameAsReference(device, x => x[0].PRelu(x[1]).Add(x[2]), [shape, slope, shape], terms: Ragged.PerChannel(shape));
        }
    }

    [Theory, EveryDevice]
    public void InferenceMatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices))
            Expect.SameAsReference(device, Norm(training: false), With(shape), terms: Ragged.PerChannel(shape));
    }

    [Fact]
    public void GradientIsRight()
    {
        foreach (var training in new[] { true, false })
        {
            Expect.Gradient(Norm(training), With(Shape.Map(3, 2, 2, 3)));
            Expect.Gradient(Norm(training), With(Shape.Of(5, 3)));
        }
    }

    // The mean itself is a float: half its last bit, over the deviation, is the error that no float kernel avoids.
    [Theory, EveryDevice]
    public void AMeanFarAboveTheDeviationCostsNoMoreThanItsOwnRounding(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        const float offset = 1000;
        Expect.SameAsReference(device, Norm(training: true), With(Shape.Map(5, 17, 14, 14)), terms: 5 * 14 * 14, slack: 2 + offset / 30,
            prepare: (input, values) => input == 0 ? [.. values.Select(v => v + offset)] : values);
    }

    [Theory, EveryDevice]
    public void MovesTheRunningStatistics(string instructionSet, int threads)
    {
        var shape = Shape.Map(2, 17, 5, 7);
        (float[] Mean, float[] Variance) Run(Device device)
        {
            var one = Enumerable.Repeat(1f, 17).ToArray();
            using Tensor x = device.From(shape, Expect.Normal(shape, 0)), gamma = device.From(Shape.Of(17), one), beta = device.From(Shape.Of(17), one);
            using Tensor mean = device.From(Shape.Of(17), one), variance = device.From(Shape.Of(17), one);
            using var y = x.BatchNorm(gamma, beta, mean, variance, training: true);
            return (mean.ToArray(), variance.ToArray());
        }
        using var reference = new Reference();
        using var device = TestDevice.Open(instructionSet, threads);
        var (expected, actual) = (Run(reference), Run(device));
        Expect.Close(expected.Mean, actual.Mean, 1e-6, "running mean");
        Expect.Close(expected.Variance, actual.Variance, 1e-6, "running variance");
    }

    [Fact]
    public void RunningStatisticsUseTheUnbiasedVariance()
    {
        using var device = new Reference();
        using Tensor x = device.From(Shape.Of(2, 1), [1, 3]), gamma = device.From(Shape.Of(1), [1]), beta = device.From(Shape.Of(1), [0]);
        using Tensor mean = device.From(Shape.Of(1), [0]), variance = device.From(Shape.Of(1), [0]);
        using var y = x.BatchNorm(gamma, beta, mean, variance, training: true, momentum: 0.5f, epsilon: 0.25f);
        Assert.Equal((1, 1), (mean.Item(), variance.Item()));
        Assert.Equal(1 / MathF.Sqrt(1.25f), y.ToArray()[1], 1e-6f);
    }

    [Fact]
    public void RefusesBatchStatisticsOfOneValue()
    {
        using var device = Cpu.Create();
        using Tensor x = device.New(Shape.Map(1, 3, 1, 1)), p = device.New(Shape.Of(3));
        var error = Assert.Throws<ShapeException>(() => x.BatchNorm(p, p, p, p, training: true));
        Assert.Equal("BatchNorm: training needs more than one value per channel but the shape is map [1, 3, 1, 1]", error.Message);
    }
}
