using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>The last pass of a batch norm's gradient, done by the convolution whose result it normalised.</summary>
public class UnfinishedNormTests
{
    /// Of inputs that begin with those of the norm, γ, β, slope.
    static Tensor Norm(Tensor y, Tensor[] x, bool training = true, bool prelu = true)
    {
        int channels = y.Shape.Channels;
        Tensor mean = y.Device.From(Shape.Of(channels), new float[channels]), variance = y.Device.From(Shape.Of(channels), [.. Enumerable.Range(0, channels).Select(c => 0.5f + c % 3)]);
        return y.BatchNorm(x[0], x[1], mean, variance, training, prelu ? x[2] : null);
    }

    static Shape[] With(int channels, params Shape[] more) => [Shape.Of(channels), Shape.Of(channels), Shape.Of(channels), .. more];

    static IEnumerable<(string Name, Op Op, Shape[] Shapes)> Convolutions(Shape map, int outputs)
    {
        int c = map.Channels;
        Shape weight = Shape.Of(outputs, c, 1, 1), square = Shape.Of(c, c, 1, 1), kernels = Shape.Of(c, 1, 3, 3);
        yield return ("1×1", x => Norm(x[3].Conv2d(x[4]), x), With(outputs, map, weight));
        yield return ("running statistics", x => Norm(x[3].Conv2d(x[4]), x, training: false), With(outputs, map, weight));
        yield return ("no slope", x => Norm(x[2].Conv2d(x[3]), x, prelu: false), With(outputs, map, weight)[1..]);
        yield return ("1×1 of a deferred map", x => Norm(Norm(x[3], x).Conv2d(x[4]), x), With(c, map, square));
        // Both terms have the sum's gradient in the same memory, and the convolution's is added to it.
        yield return ("1×1 with a shortcut", x => Norm(x[3].Conv2d(x[4]), x).Add(x[3]), With(c, map, square));
        yield return ("two that share a gradient", x => Norm(x[3].Conv2d(x[4]), x).Add(Norm(x[3].Conv2d(x[4]), x)), With(outputs, map, weight));
        yield return ("two readers of the sums", x =>
        {
            var y = x[3].Conv2d(x[4]);
            return Norm(y, x).Add(y);
        }, With(outputs, map, weight));
        // Its gradient comes after the norm's.
        yield return ("another reader before the norm", x =>
        {
            var y = x[3].Conv2d(x[4]);
            var other = y.Conv2d(x[5]);
            return Norm(y, x).Add(other);
        }, With(outputs, map, weight, Shape.Of(outputs, outputs, 1, 1)));
        yield return ("a PReLU before the norm", x =>
        {
            var y = x[3].Conv2d(x[4]);
            var other = y.PRelu(x[2]);
            return Norm(y, x).Add(other);
        }, With(outputs, map, weight));
        yield return ("depthwise", x => Norm(x[3].Conv2d(x[4], padding: 1, groups: c), x), With(c, map, kernels));
        yield return ("depthwise stride 2 of a deferred map", x => Norm(Norm(x[3], x).Conv2d(x[4], stride: 2, padding: 1, groups: c), x), With(c, map, kernels));
        yield return ("depthwise with a shortcut", x => Norm(x[3].Conv2d(x[4], padding: 1, groups: c), x).Add(x[3]), With(c, map, kernels));
        yield return ("pointwise and depthwise", x => Norm(Norm(x[3].Conv2d(x[5]), x).Conv2d(x[4], padding: 1, groups: c), x).Add(x[3]), With(c, map, kernels, square));
        yield return ("depthwise and pointwise", x => Norm(Norm(x[3].Conv2d(x[4], padding: 1, groups: c), x).Conv2d(x[5]), x).Add(x[3]), With(c, map, kernels, square));
    }

    // Bands of several images, of one, and of a part of one with a shorter last.
    [Theory, EveryDevice(Gpu = false)]
    public void GradientsMatchReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (map, outputs) in new[] { (Shape.Map(35, 5, 3, 4), 18), (Shape.Map(9, 20, 7, 7), 33), (Shape.Map(6, 48, 14, 14), 16), (Shape.Map(6, 17, 20, 23), 70) })
            foreach (var (_, op, shapes) in Convolutions(map, outputs))
                Expect.SameAsReference(device, op, shapes, terms: 27 * map.Images * map.Height * map.Width);
    }

    [Fact]
    public void GradientIsRight()
    {
        foreach (var (_, op, shapes) in Convolutions(Shape.Map(2, 3, 3, 4), 2)) Expect.Gradient(op, shapes);
    }

    /// With more threads than there are partial sums for, both gradients and the norm's last pass are passes of their own.
    [Fact]
    public void AsManyPassesGiveTheSameBits()
    {
        foreach (var (map, outputs) in new[] { (Shape.Map(9, 20, 7, 7), 33), (Shape.Map(6, 48, 14, 14), 16), (Shape.Map(6, 17, 20, 23), 70) })
            foreach (var (name, op, shapes) in Convolutions(map, outputs))
            {
                var values = shapes.Select((s, i) => Expect.Normal(s, i)).ToArray();
                using Device few = Cpu.Create(2), many = Cpu.Create(9);
                Assert.True(Finishes(few, map), "one pass");
                Assert.False(Finishes(many, map), "several");
                float[][] one = Expect.Run(few, op, shapes, values), several = Expect.Run(many, op, shapes, values);
                for (int i = 0; i < one.Length; i++) Assert.True(one[i].AsSpan().SequenceEqual(several[i]), $"{name}, {map}: {(i == 0 ? "result" : $"gradient of input {i - 1}")}");
            }
    }

    static bool Finishes(Device device, Shape map)
    {
        using var weight = device.From(Shape.Of(map.Channels, map.Channels, 1, 1), new float[map.Channels * map.Channels]);
        return device.FinishesNorms(weight, map, new(1, 0, 1));
    }

    [Fact]
    public void AFrozenConvolutionLeavesItToTheNorm()
    {
        using var device = Cpu.Create(1);
        Shape map = Shape.Map(4, 16, 6, 6), vector = Shape.Of(16), kernel = Shape.Of(16, 16, 1, 1);
        Tensor Parameter(Shape shape, int stream)
        {
            var parameter = device.Parameter("p", shape);
            device.Write(parameter, Expect.Normal(shape, stream));
            return parameter;
        }
        float[] Gradient(bool frozen)
        {
            using var tape = new Tape(device);
            Tensor x = Parameter(map, 3), weight = Parameter(kernel, 4);
            weight.NeedsGradient = !frozen;
            var y = Expect.OnTape(tape, x).Conv2d(weight);
            Assert.Equal(!frozen, y.FinishesGradient);
            tape.Seed(Norm(y, [Parameter(vector, 0), Parameter(vector, 1), Parameter(vector, 2)]).Settled(), Expect.Normal(map, 5));
            return x.Gradient!.ToArray();
        }
        Assert.Equal(Gradient(frozen: true), Gradient(frozen: false));
    }
}
