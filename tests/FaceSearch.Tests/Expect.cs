using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

/// <summary>An op under test: makes its result from its inputs.</summary>
public delegate Tensor Op(Tensor[] inputs);

/// <summary>The test language of the engine: same as the reference, right gradient, right words.</summary>
public static class Expect
{
    /// <summary>
    /// Forward and backward on <paramref name="device"/> against fp64. An error counts relative to the largest value, and
    /// may be what plain float sums of <paramref name="terms"/> terms have: 2⁻²⁴·(8 + 4·√terms), times <paramref name="slack"/>.
    /// </summary>
    public static void SameAsReference(Device device, Op op, Shape[] shapes, int terms = 1, double slack = 1, Func<int, float[], float[]>? prepare = null)
    {
        using var reference = new Reference();
        var values = shapes.Select((s, i) => prepare?.Invoke(i, Normal(s, i)) ?? Normal(s, i)).ToArray();
        var expected = Run(reference, op, shapes, values);
        var actual = Run(device, op, shapes, values);
        double bound = slack * Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(terms));
        for (int i = 0; i < expected.Length; i++)
            Close(expected[i], actual[i], bound, $"{(i == 0 ? "result" : $"gradient of input {i - 1}")} for {string.Join(" ", shapes.Select(s => s.ToString()))} on {device.Name}");
    }

    /// <summary>Compares the gradients of an op on the reference with central differences in fp64.</summary>
    public static void Gradient(Op op, Shape[] shapes, double tolerance = 1e-6, Func<int, float[], float[]>? prepare = null)
    {
        const double step = 1e-6;
        using var device = new Reference();
        var inputs = shapes.Select((s, i) => Parameter(device, s, prepare?.Invoke(i, Normal(s, i)) ?? Normal(s, i))).ToArray();
        double Loss(out Tensor y, Tape tape, float[]? weights = null)
        {
            y = op([.. inputs.Select(x => OnTape(tape, x))]).Settled();
            var w = weights ?? Normal(y.Shape, 99);
            double sum = 0;
            for (int i = 0; i < w.Length; i++) sum += Reference.Of(y)[i] * w[i];
            return sum;
        }
        using (var tape = new Tape(device))
        {
            Loss(out var y, tape);
            tape.Seed(y, Normal(y.Shape, 99));
        }
        for (int n = 0; n < inputs.Length; n++)
        {
            Assert.True(inputs[n].Gradient is not null, $"input {n} got no gradient");
            double largest = 1e-3;
            foreach (double g in Reference.Of(inputs[n].Gradient!)) largest = Math.Max(largest, Math.Abs(g));
            for (int i = 0; i < inputs[n].Shape.Count; i++)
            {
                double At(double delta)
                {
                    Reference.Of(inputs[n])[i] += delta;
                    using var tape = new Tape(device);
                    double loss = Loss(out _, tape);
                    Reference.Of(inputs[n])[i] -= delta;
                    return loss;
                }
                double numeric = (At(step) - At(-step)) / (2 * step), analytic = Reference.Of(inputs[n].Gradient!)[i];
                Assert.True(Math.Abs(numeric - analytic) <= tolerance * largest, $"gradient of input {n} at {i}: differences say {numeric:R}, backward says {analytic:R}");
            }
        }
    }

    /// <summary>Largest difference relative to the largest expected value.</summary>
    public static void Close(float[] expected, float[] actual, double bound, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double scale = Math.Max(1e-30, expected.Max(MathF.Abs));
        for (int i = 0; i < expected.Length; i++)
            if (!(Math.Abs(expected[i] - actual[i]) <= bound * scale))
                Assert.Fail($"{what}: element {i} is {actual[i]:R}, expected {expected[i]:R} (relative error {Math.Abs(expected[i] - actual[i]) / scale:E1}, allowed {bound:E1})");
    }

    /// <summary>Result and gradients of all inputs. Inputs are put on a tape as results of a copy, so that every op sees tape tensors.</summary>
    public static float[][] Run(Device device, Op op, Shape[] shapes, float[][] values)
    {
        var inputs = shapes.Select((s, i) => Parameter(device, s, values[i])).ToArray();
        using var tape = new Tape(device);
        var y = op([.. inputs.Select(x => OnTape(tape, x))]).Settled();
        var result = y.ToArray();
        tape.Seed(y, Normal(y.Shape, 99));
        float[][] all = [result, .. inputs.Select(x => x.Gradient?.ToArray() ?? [])];
        foreach (var x in inputs) x.Dispose();
        return all;
    }

    public static float[] Normal(Shape shape, int stream) =>
        [.. Enumerable.Range(0, checked((int)shape.Count)).Select(i => (float)Noise.Normal(7, (ulong)stream, (ulong)i))];

    static Tensor Parameter(Device device, Shape shape, float[] values)
    {
        var x = device.Parameter("x", shape);
        device.Write(x, values);
        return x;
    }

    /// An identity op: the parameter as a tensor of the tape.
    public static Tensor OnTape(Tape tape, Tensor x)
    {
        var y = tape.New(x.Shape);
        if (x.Device is Reference) Reference.Of(x).CopyTo(Reference.Of(y));
        else x.Device.Write(y, x.ToArray());
        return y.From("copy", default, default, [x], dy =>
        {
            var dx = x.Device.New(x.Shape);
            if (x.Device is Reference) Reference.Of(dy).CopyTo(Reference.Of(dx));
            else x.Device.Write(dx, dy.ToArray());
            x.Accumulate(dx);
        });
    }
}
