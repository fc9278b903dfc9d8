using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A convolution with all that follows it at inference.</summary>
public class Conv2dFusedTests
{
    // images, channels, height, width; outputs, kernel; stride, padding, groups.
    static readonly (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] shapes =
    [
        ([1, 1, 1, 1], [1, 1], 1, 0, 1), ([2, 40, 7, 7], [17, 1], 1, 0, 1), ([3, 64, 14, 14], [33, 1], 1, 0, 1), ([1, 16, 13, 29], [70, 1], 2, 0, 1), ([2, 24, 5, 5], [48, 1], 1, 0, 3),
        ([2, 17, 13, 29], [33, 3], 2, 1, 1), ([2, 32, 7, 7], [64, 3], 1, 1, 2), ([5, 16, 7, 7], [17, 3], 1, 1, 1),
        ([5, 16, 7, 7], [16, 3], 2, 1, 16), ([1, 33, 14, 15], [33, 3], 1, 1, 33), ([3, 17, 1, 1], [17, 3], 1, 1, 17), ([2, 33, 3, 2], [33, 3], 2, 1, 33), ([2, 40, 7, 7], [40, 7], 1, 0, 40),
    ];

    enum Added { Nothing, Map, DeferredMap }

    static IEnumerable<(int Shape, bool Activated, Added Added)> Cases() =>
        from shape in Enumerable.Range(0, shapes.Length) from activated in new[] { false, true } from added in Enum.GetValues<Added>() select (shape, activated, added);

    static float[] Run(Device device, (int Shape, bool Activated, Added Added) of)
    {
        var (map, kernel, stride, padding, groups) = shapes[of.Shape];
        Shape x = Shape.Map(map[0], map[1], map[2], map[3]), weight = Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[1]), channels = Shape.Of(kernel[0]);
        Shape y = Shape.Map(map[0], kernel[0], (map[2] + 2 * padding - kernel[1]) / stride + 1, (map[3] + 2 * padding - kernel[1]) / stride + 1);
        var owned = new List<Tensor>();
        Tensor Make(Shape shape, int seed, Func<float, float>? of = null)
        {
            owned.Add(device.From(shape, [.. Expect.Normal(shape, seed).Select(v => of?.Invoke(v) ?? v)]));
            return owned[^1];
        }
        Tensor Norm(Tensor t, int seed) => t.BatchNorm(Make(Shape.Of(t.Shape.Channels), seed), Make(Shape.Of(t.Shape.Channels), seed + 1), Make(Shape.Of(t.Shape.Channels), seed + 2), Make(Shape.Of(t.Shape.Channels), seed + 3, v => 0.5f + v * v), training: false);

        using var tape = new Tape(device, record: false);
        var residual = of.Added == Added.Nothing ? null : tape.Input(y, Expect.Normal(y, 5));
        if (of.Added == Added.DeferredMap) residual = Norm(residual!, 20);
        // The input is deferred as well, as it is in networks.
        var values = Norm(tape.Input(x, Expect.Normal(x, 0)), 30)
            .Conv2dFused(Make(weight, 1), stride, padding, groups, new(Make(channels, 10), Make(channels, 11), Make(channels, 12), Make(channels, 13, v => 0.5f + v * v), of.Activated ? Make(channels, 14) : null), residual).ToArray();
        owned.ForEach(t => t.Dispose());
        return values;
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using var reference = new Reference();
        foreach (var of in Cases())
        {
            int terms = shapes[of.Shape].Map[1] / shapes[of.Shape].Groups * shapes[of.Shape].Kernel[1] * shapes[of.Shape].Kernel[1];
            Expect.Close(Run(reference, of), Run(device, of), 2 * Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(terms)), $"{of} on {device.Name}");
            Assert.Equal(0, device.LiveBytes);
        }
    }

    [Fact]
    public void ThreadsDoNotChangeABit()
    {
        using Device one = Cpu.Create(1), three = Cpu.Create(3);
        foreach (var of in Cases()) Assert.Equal(Run(one, of), Run(three, of));
    }

    [Fact]
    public void ATapeThatRecordsIsRefused()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device);
        using Tensor weight = device.From(Shape.Of(1, 1, 1, 1), [1]), vector = device.From(Shape.Of(1), [1]);
        var error = Assert.Throws<ShapeException>(() => tape.Input(Shape.Map(1, 1, 1, 1), [1]).Conv2dFused(weight, 1, 0, 1, new(vector, vector, vector, vector)));
        Assert.Contains("records", error.Message);
    }
}
