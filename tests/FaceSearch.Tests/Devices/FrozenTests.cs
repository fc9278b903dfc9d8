using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;
using FaceSearch.Tests.Ops;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>What a device keeps of weights while no parameter changes.</summary>
public class FrozenTests
{
    static float[] Run(Backbone net, int images)
    {
        var shape = Shape.Map(images, 3, net.Side, net.Side);
        using var tape = new Tape(net.Device, record: false);
        return net.Forward(tape.Input(shape, Expect.Normal(shape, 3)), Pass.Inference).ToArray();
    }

    static float[] Convolved(Tensor weight, FrozenNorm? norm, int side, int stride = 1)
    {
        var shape = Shape.Map(2, 16, side, side);
        using var tape = new Tape(weight.Device, record: false);
        var x = tape.Input(shape, Expect.Normal(shape, 4));
        int padding = weight.Shape[2] / 2;
        return (norm is { } n ? x.Conv2dFused(weight, stride, padding, 1, n) : x.Conv2d(weight, stride, padding)).ToArray();
    }

    [Theory, EveryDevice]
    public void BatchesHaveTheBitsThatTheyHaveOtherwise(string name, int threads)
    {
        using var device = TestDevice.Open(name, threads);
        foreach (string kind in new[] { "mobilefacenet", "iresnet18" })
        {
            using var net = Backbone.Create(device, new() { Kind = kind, Embedding = 24, Width = .25 }, 32, seed: 1);
            float[][] expected = [Run(net, 2), Run(net, 1)], actual;
            long before = device.LiveBytes;
            using (device.Freeze()) actual = [Run(net, 2), Run(net, 1), Run(net, 2)];
            Assert.Equal(expected[0], actual[0]);
            Assert.Equal(expected[1], actual[1]);
            Assert.Equal(expected[0], actual[2]);
            Assert.Equal(before, device.LiveBytes);
        }
    }

    [Theory, EveryDevice]
    public void WeightsAreKeptForEachUseApart(string name, int threads)
    {
        using var device = TestDevice.Open(name, threads);
        using Tensor pointwise = device.From(Shape.Of(32, 16, 1, 1), Expect.Normal(Shape.Of(32, 16, 1, 1), 1)), square = device.From(Shape.Of(32, 16, 3, 3), Expect.Normal(Shape.Of(32, 16, 3, 3), 2));
        using Inferred operands = new(device);
        FrozenNorm one = operands.Norm(32, 10, activated: true), other = operands.Norm(32, 20, activated: false);
        // Sides and steps whose tiles of Winograd's convolution have other points; the last two have results of one size.
        float[][] All() => [Convolved(pointwise, one, 6), Convolved(pointwise, other, 6), Convolved(pointwise, null, 6), Convolved(square, null, 6), Convolved(square, null, 14), Convolved(square, null, 3), Convolved(square, null, 8), Convolved(square, null, 16, stride: 2)];
        var expected = All();
        using var frozen = device.Freeze();
        Assert.Equal(expected, All());
        Assert.Equal(expected, All());
    }

    [Fact]
    public void NothingIsKeptFromOneTimeToTheNext()
    {
        using var device = Cpu.Create();
        using var weight = device.From(Shape.Of(32, 16, 3, 3), Expect.Normal(Shape.Of(32, 16, 3, 3), 2));
        float[] before;
        using (device.Freeze()) before = Convolved(weight, null, 14);
        device.Write(weight, Expect.Normal(weight.Shape, 7));
        var expected = Convolved(weight, null, 14);
        using (device.Freeze()) Assert.Equal(expected, Convolved(weight, null, 14));
        Assert.NotEqual(before, expected);
    }

    [Fact]
    public void ANetworkOfManyWeightsKeepsSomeOfThem()
    {
        using var device = Cpu.Create();
        // 16 MiB each at 49 points; together more than is kept.
        Tensor[] weights = [.. Enumerable.Range(0, 20).Select(i => device.From(Shape.Of(5000, 16, 3, 3), new float[5000 * 16 * 9]))];
        using (device.Freeze())
        {
            long before = device.LiveBytes;
            foreach (var weight in weights) Convolved(weight, null, 10);
            Assert.InRange(device.LiveBytes - before, 200L << 20, 256L << 20);
        }
        foreach (var weight in weights) weight.Dispose();
    }

    [Fact]
    public void TrainingIsRefusedMeanwhile()
    {
        using var device = Cpu.Create();
        using (device.Freeze())
        {
            Assert.Contains("frozen", Assert.Throws<InvalidOperationException>(() => new Tape(device)).Message);
            Assert.Contains("frozen", Assert.Throws<InvalidOperationException>(device.Freeze).Message);
            new Tape(device, record: false).Dispose();
        }
        new Tape(device).Dispose();
        device.Freeze().Dispose();
    }
}
