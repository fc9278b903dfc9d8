using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>The updates that are not on a tape: SGD, AdamW, scale, sum of squares.</summary>
public class OptimiserTests
{
    delegate void Step(Device device, Tensor[] t, int step);

    static readonly (string Name, Step Step)[] Rules =
    [
        ("sgd", (d, t, _) => d.Sgd(t[0], t[1], t[2], 0.1f, 0, false, 0)),
        ("momentum", (d, t, _) => d.Sgd(t[0], t[1], t[2], 0.1f, 0.9f, false, 5e-4f)),
        ("nesterov", (d, t, _) => d.Sgd(t[0], t[1], t[2], 0.1f, 0.9f, true, 5e-4f)),
        ("adamw", (d, t, s) => d.AdamW(t[0], t[1], t[2], t[3], 1e-2f, 0.9f, 0.999f, 1e-8f, 0.05f, s)),
    ];

    static readonly Shape[] Shapes = [Shape.Of(1), Shape.Of(33, 17, 3, 3), Shape.Of(130, 520), Shape.Map(2, 17, 5, 7)];

    /// Three steps with changing gradients: parameter and state after them.
    static float[][] Run(Device device, Step rule, Shape shape)
    {
        Tensor[] t = [.. Enumerable.Range(0, 4).Select(i => device.From(shape, i < 2 ? Expect.Normal(shape, i) : new float[shape.Count]))];
        for (int step = 1; step <= 3; step++)
        {
            rule(device, t, step);
            device.Write(t[1], Expect.Normal(shape, 1 + step));
        }
        return [.. t.Select(x => x.ToArray())];
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var reference = new Reference();
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (name, rule) in Rules)
            foreach (var shape in Shapes)
                foreach (var (expected, actual) in Run(reference, rule, shape).Zip(Run(device, rule, shape)))
                    Expect.Close(expected, actual, 1e-6, $"{name} {shape}");
    }

    [Fact]
    public void TheNumberOfThreadsDoesNotChangeABit()
    {
        using Device one = Cpu.Create(1), three = Cpu.Create(3);
        var shape = Shape.Of(130, 520);
        foreach (var (name, rule) in Rules)
            foreach (var (expected, actual) in Run(one, rule, shape).Zip(Run(three, rule, shape)))
                Assert.True(expected.AsSpan().SequenceEqual(actual), name);
        using Tensor x = one.From(shape, Expect.Normal(shape, 0)), y = three.From(shape, Expect.Normal(shape, 0));
        Assert.Equal(one.SumOfSquares(x), three.SumOfSquares(y));
    }

    // By hand: g = 1 + 0.5·2 = 2; v = 2; Nesterov p = 2 − 0.1·(2 + 0.9·2). Then g = 1 + 0.5·1.62, v = 1.8 + g.
    [Fact]
    public void SgdIsWhatPyTorchDefines()
    {
        using var device = new Reference();
        using Tensor p = device.From(Shape.Of(1), [2]), g = device.From(Shape.Of(1), [1]), v = device.From(Shape.Of(1), [0]);
        device.Sgd(p, g, v, 0.1f, 0.9f, true, 0.5f);
        Assert.Equal(1.62f, p.Item(), 1e-6f);
        device.Sgd(p, g, v, 0.1f, 0.9f, false, 0.5f);
        Assert.Equal(1.62f - 0.1f * (1.8f + 1.81f), p.Item(), 1e-6f);
    }

    // In the first step m̂ = g and v̂ = g²: p moves by the rate, whatever the gradient, after the decay.
    [Fact]
    public void AdamWMovesByTheRateAtFirst()
    {
        using var device = new Reference();
        using Tensor p = device.From(Shape.Of(2), [2, -1]), g = device.From(Shape.Of(2), [30, -0.02f]), m = device.From(Shape.Of(2), [0, 0]), v = device.From(Shape.Of(2), [0, 0]);
        device.AdamW(p, g, m, v, 0.1f, 0.9f, 0.999f, 1e-8f, 0.5f, 1);
        Assert.Equal([2 * 0.95f - 0.1f, -0.95f + 0.1f], p.ToArray(), (a, b) => Math.Abs(a - b) < 1e-6f);
    }

    [Theory, EveryDevice]
    public void ScalesAndSumsSquares(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Shapes)
        {
            using var x = device.From(shape, Expect.Normal(shape, 0));
            double expected = Expect.Normal(shape, 0).Sum(v => (double)v * v);
            Assert.InRange(device.SumOfSquares(x), expected * (1 - 1e-6), expected * (1 + 1e-6));
            device.Scale(x, -0.5f);
            Assert.Equal(Expect.Normal(shape, 0).Select(v => -0.5f * v), x.ToArray());
        }
        using var bad = device.From(Shape.Of(3), [1, float.NaN, 2]);
        Assert.True(double.IsNaN(device.SumOfSquares(bad)));
    }
}
