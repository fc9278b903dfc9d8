using FaceSearch.Tensors;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>
/// Every op on maps that lie in memory as bf16. Maps and gradients that go in are values which bf16 holds, so that what comes out is the reference's
/// result rounded as often as a kernel writes it: by up to 2⁻⁸ of itself each time. 2⁻¹⁶ of the largest
/// value is left for sums in floats that cancel. What is no map is not rounded.
/// </summary>
public class MapsBf16Tests
{
    const double Rounding = 1.0 / (1 << 8), Sums = 1.0 / (1 << 16);

    static readonly Shape[] Shapes = [Shape.Map(1, 1, 1, 1), Shape.Map(5, 3, 1, 1), Shape.Map(2, 17, 5, 7), Shape.Map(1, 33, 7, 7), Shape.Map(3, 40, 9, 14), Shape.Map(2, 3, 13, 29), .. Drawn];

    static IEnumerable<Shape> Drawn => Enumerable.Range(0, Fuzz.Times).Select(n => Shape.Map(1 + Fuzz.Below(4, 80, n), 1 + Fuzz.Below(50, 81, n), 1 + Fuzz.Below(15, 82, n), 1 + Fuzz.Below(15, 83, n)));

    static Shape Planes(Shape map) => Shape.Map(map.Images, map.Channels, 1, 1);
    static Shape Vector(Shape map) => Shape.Of(map.Channels);

    static Tensor Norm(Tensor[] x, bool training, bool slope)
    {
        int channels = x[0].Shape.Channels;
        Tensor mean = x[0].Device.From(Shape.Of(channels), new float[channels]), variance = x[0].Device.From(Shape.Of(channels), [.. Enumerable.Range(0, channels).Select(c => 0.5f + c % 3)]);
        return x[0].BatchNorm(x[1], x[2], mean, variance, training, slope ? x[3] : null);
    }

    /// Roundings: of gradients, where more than one kernel writes one. Deferred: a norm's own result is settled, rounded once itself.
    static IEnumerable<(string Name, Op Op, Shape[] Shapes, int Roundings)> Ops(Shape map)
    {
        Shape c = Vector(map);
        yield return ("sum", x => x[0].Add(x[1]), [map, map], 1);
        yield return ("two readers", x => x[0].Relu().Add(x[0].Swish()), [map], 3);
        yield return ("relu", x => x[0].Relu(), [map], 1);
        yield return ("sigmoid", x => x[0].Sigmoid(), [map], 1);
        yield return ("swish", x => x[0].Swish(), [map], 1);
        yield return ("prelu", x => x[0].PRelu(x[1]), [map, c], 1);
        yield return ("dropout", x => x[0].Dropout(0.4f, 3, 5), [map], 1);
        yield return ("flatten", x => x[0].Flatten(), [map], 1);
        yield return ("average", x => x[0].GlobalAveragePool(), [map], 1);
        yield return ("product", x => x[0].Multiply(x[1]), [map, map], 1);
        yield return ("product with planes", x => x[0].Multiply(x[1]), [map, Planes(map)], 1);
        foreach (bool training in map.Images * map.Height * map.Width > 1 ? new[] { true, false } : [false])
        {
            yield return ("norm", x => Norm(x, training, false), [map, c, c], 1);
            yield return ("norm and prelu", x => Norm(x, training, true), [map, c, c, c], 1);
            // Applied as it is loaded: no rounding between the norm and the sum.
            yield return ("norm and sum", x => Norm(x, training, true).Add(x[4]), [map, c, c, c, map], 1);
        }
        // The convolution that tensor cores do not do: its weights are not rounded.
        if (map.Channels % 2 == 0 && map.Channels > 2) yield return ("groups", x => x[0].Conv2d(x[1], padding: 1, groups: 2), [map, Shape.Of(6, map.Channels / 2, 3, 3)], 1);
    }

    [Fact]
    public void EveryOpIsTheReferenceRounded()
    {
        using var device = TestDevice.OpenBf16();
        using var reference = new Reference();
        foreach (var map in Shapes)
            foreach (var (name, op, shapes, roundings) in Ops(map))
            {
                // Away from the kink of rectifiers, where a rounding of sums decides which slope counts.
                float[][] values = [.. shapes.Select((s, i) => Prepared(s, [.. Expect.Normal(s, i).Select(v => s.IsMap ? v + MathF.CopySign(1, v) : i == 2 ? 0.01f * v : v)]))];
                var (expected, actual) = (Run(reference, op, shapes, values, out _), Run(device, op, shapes, values, out var result));
                for (int i = 0; i < expected.Length; i++)
                {
                    bool isMap = (i == 0 ? result : shapes[i - 1]).IsMap;
                    double largest = expected[i].Max(MathF.Abs);
                    for (int n = 0; n < expected[i].Length; n++)
                    {
                        // Each of the parts that are added up later may be as large as the largest.
                        double size = roundings == 1 ? Math.Abs(expected[i][n]) : largest;
                        double bound = (isMap ? roundings * Rounding * size : 0) + Sums * largest;
                        Assert.True(Math.Abs(actual[i][n] - expected[i][n]) <= bound,
                            $"{name} of {map}, {(i == 0 ? "result" : $"gradient {i - 1}")} (seed {Bf16.Seed}): element {n} is {actual[i][n]:R}, expected {expected[i][n]:R} ± {bound:E1}");
                    }
                }
            }
        Assert.Empty(GpuAccelerator.Simulated.Kernels.Except(Devices.GpuKernelList.All));
    }

    static float[] Prepared(Shape s, float[] values) => s.IsMap ? [.. values.Select(Bf16.Rounded)] : values;

    /// As <see cref="Expect.Run"/>, from a gradient that bf16 holds; looks at the lanes past the last channel.
    static float[][] Run(Device device, Op op, Shape[] shapes, float[][] values, out Shape result)
    {
        Tensor[] inputs = [.. shapes.Select(s => device.Parameter("x", s))];
        for (int i = 0; i < inputs.Length; i++) device.Write(inputs[i], values[i]);
        using var tape = new Tape(device);
        var y = op([.. inputs.Select(x => Expect.OnTape(tape, x))]).Settled();
        result = y.Shape;
        float[] ofY = y.ToArray();
        if (device is Gpu && result.IsMap) Assert.True(Padding.IsZero(y), $"{result}: lanes past the last channel");
        tape.Seed(y, Prepared(result, Expect.Normal(result, 99)));
        if (device is Gpu) Assert.All(inputs, x => Assert.True(!x.Shape.IsMap || Padding.IsZero(x.Gradient!), $"{x}: lanes of the gradient past the last channel"));
        float[][] all = [ofY, .. inputs.Select(x => x.Gradient!.ToArray())];
        foreach (var x in inputs) x.Dispose();
        return all;
    }

    [Fact]
    public void AMapHasTwoBytesAnElementAndAnythingElseFour()
    {
        using var device = TestDevice.OpenBf16();
        var map = Shape.Map(2, 3, 16, 64);
        long before = device.LiveBytes;
        using (var x = device.New(map)) Assert.Equal(2 * 8 * map.Count / 3, device.LiveBytes - before);
        using (var x = device.New(Shape.Of(2, 8, 16, 64))) Assert.Equal(4 * x.Shape.Count, device.LiveBytes - before);
        using Tensor a = device.New(map), b = device.New(map), c = device.New(Shape.Of(100));
        Assert.Equal(2 * 2 * map.Count, Cost.OfPass(1, a, b).Bytes);
        Assert.Equal(4 * 100, Cost.OfPass(1, c).Bytes);
        Assert.Equal(100, Gpu.Of(c).Length);
        Assert.Throws<InvalidOperationException>(() => { Gpu.Of(a); });
    }

    [Fact]
    public void WhatIsWrittenComesBackRoundedToTheNearestEven()
    {
        using var device = TestDevice.OpenBf16();
        foreach (var map in Shapes)
        {
            var values = Expect.Normal(map, 0);
            using var x = device.From(map, values);
            Assert.Equal(values.Select(Bf16.Rounded), x.ToArray());
            Assert.True(Padding.IsZero(x));
        }
        float[] special = [1, 1 + 1f / 256, 1 + 3f / 256, -0f, float.NaN, float.PositiveInfinity, float.MaxValue, 1e-40f];
        using var y = device.From(Shape.Map(1, special.Length, 1, 1), special);
        Assert.Equal([1, 1, 1 + 2f / 128, -0f, float.NaN, float.PositiveInfinity, float.PositiveInfinity, Bf16.Rounded(1e-40f)], y.ToArray());
    }

    [Fact]
    public void MapsAreFilledCopiedScaledAndSummed()
    {
        using var device = TestDevice.OpenBf16();
        var map = Shape.Map(3, 11, 5, 7);
        float[] values = [.. Expect.Normal(map, 0).Select(Bf16.Rounded)];
        using Tensor x = device.From(map, values), y = device.New(map);
        // Poisoned: a NaN wherever one looks.
        Assert.All(device.ReadAsItLies(y), v => Assert.True(float.IsNaN(v)));
        device.Copy(x, y);
        Assert.Equal(values, y.ToArray());
        device.Accumulate(y, x);
        Assert.Equal(values.Select(v => 2 * v), y.ToArray());
        device.Scale(y, 0.3f);
        Assert.Equal(values.Select(v => Bf16.Rounded(2 * v * 0.3f)), y.ToArray());
        Assert.Equal(values.Sum(v => (double)v * v), device.SumOfSquares(x), 1e-9);
        foreach (float value in new[] { 1.5f, 0 })
        {
            device.Fill(y, value);
            Assert.All(y.ToArray(), v => Assert.Equal(value, v));
            Assert.True(Padding.IsZero(y));
        }
    }
}
