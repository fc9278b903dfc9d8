using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A batch norm with its PReLU, computed by whatever op loads it.</summary>
public class NormalisedTests
{
    /// Inputs: a map, γ, β, slope [channels of the map], then what the consumer needs.
    static Tensor Normalised(Tensor[] x, bool training, bool prelu = true)
    {
        int channels = x[0].Shape.Channels;
        Tensor mean = x[0].Device.From(Shape.Of(channels), new float[channels]), variance = x[0].Device.From(Shape.Of(channels), [.. Enumerable.Range(0, channels).Select(c => 0.5f + c % 3)]);
        return x[0].BatchNorm(x[1], x[2], mean, variance, training, prelu ? x[3] : null);
    }

    static Shape[] With(Shape map, params Shape[] more) => [map, Shape.Of(map.Channels), Shape.Of(map.Channels), Shape.Of(map.Channels), .. more];

    /// Keeps γ·x̂ + β away from the kink of the PReLU, where a rounding error decides which slope counts.
    static float[] AwayFromTheKink(int input, float[] values) => input switch
    {
        0 => [.. values.Select(v => v + MathF.CopySign(1, v))],
        2 => [.. values.Select(v => 0.01f * v)],
        _ => values,
    };

    static IEnumerable<(string Name, Op Op, Shape[] Shapes)> Consumers(Shape map, bool training)
    {
        Shape Weight(int outputs, int inputs, int kernel) => Shape.Of(outputs, inputs, kernel, kernel);
        int c = map.Channels;
        yield return ("settled", x => Normalised(x, training), With(map));
        yield return ("no slope", x => Normalised(x, training, prelu: false), With(map)[..3]);
        yield return ("1×1", x => Normalised(x, training).Conv2d(x[4]), With(map, Weight(20, c, 1)));
        yield return ("3×3", x => Normalised(x, training).Conv2d(x[4], padding: 1), With(map, Weight(17, c, 3)));
        yield return ("3×3 stride 2", x => Normalised(x, training).Conv2d(x[4], stride: 2, padding: 1), With(map, Weight(33, c, 3)));
        yield return ("depthwise", x => Normalised(x, training).Conv2d(x[4], padding: 1, groups: c), With(map, Weight(c, 1, 3)));
        yield return ("depthwise stride 2", x => Normalised(x, training).Conv2d(x[4], stride: 2, padding: 1, groups: c), With(map, Weight(c, 1, 3)));
        yield return ("sum", x => Normalised(x, training).Add(x[4]), With(map, map));
        yield return ("sum on the right", x => x[4].Add(Normalised(x, training)), With(map, map));
        yield return ("sum of two", x => Normalised(x, training).Add(Normalised([x[4], .. x[1..]], training)), With(map, map));
        yield return ("two readers", x =>
        {
            var y = Normalised(x, training);
            return y.Conv2d(x[4]).Add(y);
        }, With(map, Weight(c, c, 1)));
        // The sums that a depthwise convolution leaves with its gradient hold for this gradient alone.
        yield return ("depthwise, gradient added to another's", x =>
        {
            var y = Normalised(x, training);
            return y.Conv2d(x[4], padding: 1, groups: c).Add(y);
        }, With(map, Weight(c, 1, 3)));
        yield return ("depthwise, a convolution adds to its gradient", x =>
        {
            var y = Normalised(x, training);
            return y.Conv2d(x[5]).Add(y.Conv2d(x[4], padding: 1, groups: c));
        }, With(map, Weight(c, 1, 3), Weight(c, c, 1)));
        yield return ("depthwise, another's gradient added", x =>
        {
            var y = Normalised(x, training);
            var sum = y.Add(x[5]);
            return y.Conv2d(x[4], padding: 1, groups: c).Add(sum);
        }, With(map, Weight(c, 1, 3), map));
    }

    [Theory, EveryDevice]
    public void EveryReaderMatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var map in new[] { Shape.Map(2, 5, 4, 3), Shape.Map(3, 17, 7, 9), Shape.Map(2, 32, 12, 12), Shape.Map(1, 17, 20, 60), Shape.Map(1, 17, 59, 60) })
            foreach (var training in new[] { true, false })
                foreach (var (_, op, shapes) in Consumers(map, training))
                    Expect.SameAsReference(device, op, shapes, terms: 3 * map.Images * map.Height * map.Width * 9, prepare: AwayFromTheKink);
    }

    // Sums of 4 MiB, and gradients that another still reads, are written past the caches.
    [Theory, EveryDevice(Gpu = false)]
    public void LargeSumsMatchReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        var map = Shape.Map(2, 17, 129, 130);
        foreach (var (_, op, shapes) in Consumers(map, training: true).Where(c => c.Name.StartsWith("sum", StringComparison.Ordinal)))
            Expect.SameAsReference(device, op, shapes, terms: 3 * map.Images * map.Height * map.Width * 9, prepare: AwayFromTheKink);
    }

    [Fact]
    public void GradientIsRight()
    {
        foreach (var training in new[] { true, false })
            foreach (var (_, op, shapes) in Consumers(Shape.Map(2, 3, 3, 4), training))
                Expect.Gradient(op, shapes, prepare: AwayFromTheKink);
    }

    // The moments that a convolution leaves are as good as a pass over its result, also far from zero.
    [Theory, EveryDevice]
    public void MomentsOfAConvolutionAreThoseOfItsResult(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using var reference = new Reference();
        foreach (var (map, groups, kernel) in new[] { (Shape.Map(3, 17, 9, 7), 1, 3), (Shape.Map(1, 16, 59, 60), 1, 3), (Shape.Map(2, 48, 28, 28), 48, 3), (Shape.Map(5, 16, 5, 5), 1, 1) })
        {
            var weights = Shape.Of(map.Channels, map.Channels / groups, kernel, kernel);
            float[][] values = [[.. Expect.Normal(map, 0).Select(v => v + 100)], [.. Expect.Normal(weights, 1).Select(v => v + 1)]];
            (float[] Moments, float[] Plain) Run(Device on)
            {
                using var tape = new Tape(on);
                var y = tape.Input(map, values[0]).Conv2d(on.From(weights, values[1]), padding: kernel / 2, groups: groups);
                return (y.Moments!.ToArray(), y.ToArray());
            }
            var (expected, actual) = (Run(reference), Run(device));
            int c = map.Channels;
            Expect.Close(expected.Moments[..c], actual.Moments[..c], 2e-6, "means");
            Expect.Close(expected.Moments[c..], actual.Moments[c..], 2e-4, "variances: those of values that carry the rounding of 100 times their size");
        }
    }

    [Fact]
    public void EveryOtherOpSettlesItFirst()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device);
        Tensor one = device.From(Shape.Of(3), [1, 1, 1]), zero = device.From(Shape.Of(3), [0, 0, 0]), slope = device.From(Shape.Of(3), [0.5f, 0.5f, 0.5f]);
        var x = tape.Input(Shape.Map(1, 3, 1, 2), [1, -2, 3, -4, 5, -6]);
        Tensor Deferred() => x.BatchNorm(one, zero, zero, one, training: false, slope, epsilon: 0);
        Assert.NotNull(Deferred().Deferred);
        float[] expected = [1, -1, 3, -2, 5, -3];
        Assert.Equal(expected, Deferred().ToArray());
        Assert.Equal(expected, Deferred().Flatten().ToArray());
        Assert.Equal([1, 0, 3, 0, 5, 0], Deferred().Relu().ToArray());
        Assert.Equal([1, -0.5f, 3, -1, 5, -1.5f], Deferred().PRelu(slope).ToArray());
        Assert.Equal([0, 0.5f, 1], Deferred().GlobalAveragePool().ToArray());
        Assert.Equal(expected.Select(v => v * v), Deferred().Multiply(Deferred()).ToArray());
        Assert.Equal(expected, Deferred().Dropout(0.4f, 1, 1).ToArray().Zip(expected, (v, e) => v == 0 ? e : v * 0.6f).Select(v => MathF.Round(v, 4)));
        Assert.Equal(expected, Deferred().BatchNorm(one, zero, zero, one, training: false, epsilon: 0).ToArray());
    }

    [Fact]
    public void AConvolutionBatchNormAndPReluStoreOneMap()
    {
        using var device = Cpu.Create();
        var map = Shape.Map(4, 16, 32, 32);
        using Tensor weight = device.Parameter("w", Shape.Of(16, 16, 1, 1)), p = device.Parameter("p", Shape.Of(16));
        using var tape = new Tape(device);
        var x = tape.Input(map, new float[map.Count]);
        long before = device.LiveBytes;
        x.Conv2d(weight).BatchNorm(p, p, p, p, training: true, p).Conv2d(weight);
        Assert.InRange(device.LiveBytes - before, 2 * 4 * map.Count, 2 * 4 * map.Count + 8192);
    }
}
