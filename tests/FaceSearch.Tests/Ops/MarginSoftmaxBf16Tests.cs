using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>
/// The head on emulated tensor cores. Unit embeddings and centres are rounded to bf16, each element by up to 2⁻⁹ of itself, so a cosine is
/// off by at most 2⁻⁸ and a logit by the scale times that; all of them at random, by that over √d. Probabilities are off by as
/// much of themselves, and each is rounded to bf16 once more.
/// </summary>
public class MarginSoftmaxBf16Tests
{
    static readonly Margin Combined = new(16, 12, 1.1f, 0.3f, 0.2f), Paper = new(20, 24, 1.15f, 0.22f, 0);

    public static TheoryData<int, int, int, bool> Sizes => new([(1, 7, 2, false), (5, 40, 129, false), (17, 33, 300, true), (130, 64, 127, false), (20, 257, 1000, true), (9, 136, 1500, false)]);

    [Theory, MemberData(nameof(Sizes))]
    public void MatchesReference(int batch, int dimension, int classes, bool hopper)
    {
        using var reference = new Reference();
        // The sums of two tiles of classes at a time: many have several such groups.
        using var device = TestDevice.OpenBf16(hopper, logSumFloats: 4 * batch);
        Shape[] shapes = [Shape.Of(batch, dimension), Shape.Of(classes, dimension)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        foreach (var margin in new[] { Combined, Paper })
        {
            Tensor Op(Tensor[] x) => x[0].MarginSoftmax(x[1], MarginSoftmaxTests.Labels(batch, classes, dimension), margin);
            float[][] expected = Expect.Run(reference, Op, shapes, values), actual = Expect.Run(device, Op, shapes, values);
            double logit = Math.Max(margin.TrueScale, margin.FalseScale) * Math.Pow(2, -8), typical = logit / Math.Sqrt(dimension);
            Assert.InRange(actual[0][0], expected[0][0] - logit, expected[0][0] + logit);
            for (int i = 1; i < 3; i++)
            {
                string what = $"gradient {i - 1} of {batch}, {dimension}, {classes}, {margin}";
                Expect.Close(expected[i], actual[i], 2 * logit + Math.Pow(2, -7), what);
                double error = expected[i].Zip(actual[i], (e, a) => Math.Pow(e - a, 2)).Sum(), length = expected[i].Sum(e => Math.Pow(e, 2));
                if (batch > 1) Assert.True(Math.Sqrt(error / length) <= 2 * typical + Math.Pow(2, -8), $"{what}: relative error {Math.Sqrt(error / length):E1}");
            }
        }
    }

    /// Moving the centres is SGD on their gradient; both come from the same sums.
    [Theory, InlineData(false), InlineData(true)]
    public void AnUpdateIsTheGradientThenSgd(bool hopper)
    {
        using var device = TestDevice.OpenBf16(hopper);
        Shape[] shapes = [Shape.Of(20, 40), Shape.Of(700, 40)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        int[] labels = MarginSoftmaxTests.Labels(20, 700);
        float[] Centres(bool update, float momentum, out float[] velocities)
        {
            using Tensor x = device.Parameter("x", shapes[0]), centres = device.Parameter("w", shapes[1]), velocity = device.From(shapes[1], Expect.Normal(shapes[1], 5));
            device.Write(x, values[0]);
            device.Write(centres, values[1]);
            using var tape = new Tape(device);
            tape.Backward(Expect.OnTape(tape, x).MarginSoftmax(centres, labels, Combined, update: update ? new(momentum == 0 ? null : velocity, 0.5f, momentum, momentum > 0, 0.01f) : null));
            using var none = device.From(shapes[1], new float[shapes[1].Count]);
            if (!update) device.Sgd(centres, centres.Gradient!, momentum == 0 ? none : velocity, 0.5f, momentum, momentum > 0, 0.01f);
            velocities = velocity.ToArray();
            return centres.ToArray();
        }
        foreach (float momentum in new[] { 0, 0.9f })
        {
            float[] moved = Centres(true, momentum, out var movedVelocities), stepped = Centres(false, momentum, out var steppedVelocities);
            Expect.Close(stepped, moved, 1e-6, $"centres, momentum {momentum}");
            Expect.Close(steppedVelocities, movedVelocities, 1e-6, $"velocities, momentum {momentum}");
            Assert.NotEqual(values[1], moved);
        }
    }

    [Fact]
    public void TheSameInputsGiveTheSameBitsHoweverClassesAreCut()
    {
        Shape[] shapes = [Shape.Of(20, 24), Shape.Of(1500, 24)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        float[][] Run(int floats, int logSumFloats = 1 << 22)
        {
            using var device = TestDevice.OpenBf16(gradientFloats: floats, logSumFloats: logSumFloats);
            return Expect.Run(device, x => x[0].MarginSoftmax(x[1], [.. Enumerable.Range(0, 20).Select(b => 75 * b)], Combined), shapes, values);
        }
        float[][] whole = Run(1 << 22), again = Run(1 << 22), cut = Run(1);
        for (int i = 0; i < 3; i++) Assert.Equal(whole[i], again[i]);
        Assert.Equal(whole[0], cut[0]);
        Assert.Equal(whole[2], cut[2]);
        Expect.Close(whole[1], cut[1], 1e-6, "gradient of the embeddings");
        // Joined by groups of five tiles: other rounding, but again whatever the pieces.
        float[][] joined = Run(1 << 22, 200), joinedCut = Run(1, 200);
        Assert.Equal(joined[0], joinedCut[0]);
        Assert.Equal(joined[2], joinedCut[2]);
        for (int i = 0; i < 3; i++) Expect.Close(whole[i], joined[i], 1e-6, $"joined by groups, {i}");
    }

    /// No logits, no copy of all centres: beyond the operands and their gradients, some pieces of classes.
    [Fact]
    public void NeitherLogitsNorACopyOfTheCentresExist()
    {
        const int batch = 64, dimension = 16, classes = 20_000;
        using var device = TestDevice.OpenBf16();
        using var centres = device.Parameter("w", Shape.Of(classes, dimension));
        device.Write(centres, Expect.Normal(centres.Shape, 1));
        using var tape = new Tape(device);
        var embeddings = tape.Input(Shape.Of(batch, dimension), Expect.Normal(Shape.Of(batch, dimension), 0));
        embeddings.NeedsGradient = true;
        device.ResetPeak();
        long before = device.LiveBytes;
        tape.Backward(embeddings.MarginSoftmax(centres, MarginSoftmaxTests.Labels(batch, classes), Combined, update: new(null, 0.1f, 0, false, 0)));
        Assert.InRange(device.PeakBytes - before, 1, classes * dimension / 2);
    }

    [Fact]
    public void ANaNShowsInTheLoss()
    {
        using var device = TestDevice.OpenBf16();
        Shape[] shapes = [Shape.Of(2, 20), Shape.Of(100, 20)];
        for (int broken = 0; broken < 2; broken++)
        {
            float[][] values = [Expect.Normal(shapes[0], 0), Expect.Normal(shapes[1], 1)];
            values[broken][25] = float.NaN;
            Assert.Equal(float.NaN, Expect.Run(device, x => x[0].MarginSoftmax(x[1], [0, 90], Combined), shapes, values)[0][0]);
        }
    }
}
