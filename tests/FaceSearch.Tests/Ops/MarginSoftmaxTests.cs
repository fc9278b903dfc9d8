using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class MarginSoftmaxTests
{
    static readonly Margin ArcFace = new(64, 64, 1, 0.5f, 0), CosFace = new(64, 64, 1, 0, 0.35f), SphereFace = new(30, 30, 1.5f, 0, 0);
    static readonly Margin Paper = new(40, 48, 1.15f, 0.22f, 0), Combined = new(16, 12, 1.1f, 0.3f, 0.2f);

    public static TheoryData<string, Margin> Margins => new()
    {
        { "ArcFace", ArcFace }, { "CosFace", CosFace }, { "SphereFace", SphereFace }, { "the paper's best", Paper }, { "combined", Combined },
    };

    internal static int[] Labels(int batch, int classes, int stream = 0) =>
        [.. Enumerable.Range(0, batch).Select(b => Noise.Below(5, 3, (ulong)stream, (ulong)b) == 0 ? -1 : Noise.Below(classes, 4, (ulong)stream, (ulong)b))];

    [Theory, MemberData(nameof(Margins))]
    public void GradientIsRight(string name, Margin margin)
    {
        Assert.NotEmpty(name);
        Expect.Gradient(x => x[0].MarginSoftmax(x[1], [2, -1, 0, 6, 2], margin), [Shape.Of(5, 4), Shape.Of(7, 4)], tolerance: 1e-5);
    }

    /// The embedding at a stated angle to its centre: where 1/sin θ is large, and beyond M1·θ + M2 = π.
    [Theory]
    [InlineData(0.02), InlineData(0.1), InlineData(2.4), InlineData(2.9), InlineData(3.1)]
    public void GradientIsRightAtExtremeAngles(double theta)
    {
        foreach (var margin in new[] { ArcFace, SphereFace, Paper })
            Expect.Gradient(x => x[0].MarginSoftmax(x[1], [0], margin), [Shape.Of(1, 2), Shape.Of(3, 2)], tolerance: 1e-4,
                (i, values) => i == 0 ? [(float)Math.Cos(theta), (float)Math.Sin(theta)] : [1, 0, .. values[2..]]);
    }

    /// A logit is the scale times a cosine, so its error, and with it that of a probability, is the scale times a float's.
    internal static double Slack(Margin margin) => Math.Max(margin.TrueScale, margin.FalseScale);

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (batch, dimension, classes) in new[] { (1, 7, 2), (3, 16, 15), (17, 33, 64), (64, 128, 65), (17, 7, 130), (64, 33, 1000), (3, 16, 2100), (33, 64, 128), (3, 256, 66), (2, 257, 64), (5, 513, 9), (130, 17, 70) })
            foreach (var margin in new[] { ArcFace, Paper, Paper with { StraightThrough = true } })
                Expect.SameAsReference(device, x => x[0].MarginSoftmax(x[1], Labels(batch, classes, dimension), margin, recompute: true),
                    [Shape.Of(batch, dimension), Shape.Of(classes, dimension)], terms: dimension, slack: Slack(margin));
    }

    /// A kept cosine is off by up to 2⁻¹⁶, so a probability by up to that times the scale, of itself; the loss is not touched.
    /// An element may be off as if all probabilities erred together; the whole gradient by the root mean square, √3 times less.
    [Theory, EveryDevice]
    public void KeptCosinesMatchReference(string instructionSet, int threads)
    {
        using var reference = new Reference();
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (batch, dimension, classes) in new[] { (1, 7, 2), (3, 16, 15), (17, 33, 64), (64, 128, 65), (17, 7, 130), (64, 33, 1000), (33, 64, 128), (40, 257, 1100) })
            foreach (var margin in new[] { ArcFace, Paper, Paper with { StraightThrough = true } })
            {
                Shape[] shapes = [Shape.Of(batch, dimension), Shape.Of(classes, dimension)];
                float[][] values = [Expect.Normal(shapes[0], 0), Expect.Normal(shapes[1], 1)];
                Tensor Op(Tensor[] x) => x[0].MarginSoftmax(x[1], Labels(batch, classes, dimension), margin);
                float[][] expected = Expect.Run(reference, Op, shapes, values), actual = Expect.Run(device, Op, shapes, values);
                Assert.Equal(expected[0][0], actual[0][0], 1e-6 * Math.Abs(expected[0][0]));
                for (int i = 1; i < 3; i++)
                {
                    Expect.Close(expected[i], actual[i], margin.FalseScale * Math.Pow(2, -16), $"gradient {i - 1} of {batch}, {dimension}, {classes} on {device.Name}");
                    double error = expected[i].Zip(actual[i], (e, a) => Square(e - a)).Sum(), length = expected[i].Sum(e => Square(e));
                    if (classes >= 1000) Assert.True(error <= Square(margin.FalseScale * Math.Pow(2, -16)) / 3 * length, $"gradient {i - 1} of {batch}, {dimension}, {classes}: relative error {Math.Sqrt(error / length):E1}");
                }
            }
        static double Square(double v) => v * v;
    }

    [Theory, EveryDevice]
    public void OneClassHasNothingToLose(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        var run = Expect.Run(device, x => x[0].MarginSoftmax(x[1], [0, 0], ArcFace), [Shape.Of(2, 1), Shape.Of(1, 1)], [[1, -2], [3]]);
        Assert.Equal(0, run[0][0]);
        Assert.All([.. run[1], .. run[2]], g => Assert.InRange(g, -1e-30, 1e-30));
    }

    [Theory, EveryDevice]
    public void IgnoredRowsGiveNothing(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        var run = Expect.Run(device, x => x[0].MarginSoftmax(x[1], [-1, -1, -1], ArcFace), [Shape.Of(3, 5), Shape.Of(70, 5)], [Expect.Normal(Shape.Of(3, 5), 0), Expect.Normal(Shape.Of(70, 5), 1)]);
        Assert.All([.. run[0], .. run[1], .. run[2]], v => Assert.Equal(0, v));
    }

    [Theory, EveryDevice]
    public void ZerosHaveNoDirectionAndNoGradient(string instructionSet, int threads)
    {
        const int dimension = 33;
        using var device = TestDevice.Open(instructionSet, threads);
        Shape[] shapes = [Shape.Of(3, dimension), Shape.Of(70, dimension)];
        float[] Zero(int input, float[] values)
        {
            Array.Clear(values, (input == 0 ? 1 : 66) * dimension, dimension);
            return values;
        }
        Tensor Op(Tensor[] x) => x[0].MarginSoftmax(x[1], [66, 2, 69], Paper, recompute: true);
        Expect.SameAsReference(device, Op, shapes, terms: dimension, slack: Slack(Paper), prepare: Zero);
        var run = Expect.Run(device, Op, shapes, [Zero(0, Expect.Normal(shapes[0], 0)), Zero(1, Expect.Normal(shapes[1], 1))]);
        Assert.All(run[1][dimension..(2 * dimension)], g => Assert.Equal(0, g));
        Assert.All(run[2][(66 * dimension)..(67 * dimension)], g => Assert.Equal(0, g));
    }

    /// When the true class leads by far, 1 − p is tiny, and must not drown in the rounding of p.
    [Theory, EveryDevice]
    public void KeepsTheGradientOfARowThatIsAlmostRight(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Expect.SameAsReference(device, x => x[0].MarginSoftmax(x[1], [0], CosFace, recompute: true), [Shape.Of(1, 16), Shape.Of(9, 16)], terms: 16, slack: 2 * Slack(CosFace),
            prepare: (i, values) => i == 0 ? Expect.Normal(Shape.Of(9, 16), 1)[..16] : values);
    }

    [Fact]
    public void StraightThroughTakesTheMarginsSlopeForOne()
    {
        const double c = 0.6;
        using var device = new Reference();
        var run = Expect.Run(device, x => x[0].MarginSoftmax(x[1], [0], Paper with { StraightThrough = true }), [Shape.Of(1, 2), Shape.Of(2, 2)], [[0.6f, 0.8f], [1, 0, 0, 1]]);
        double trueLogit = 40 * Math.Cos(1.15f * Math.Acos(c) + 0.22f), falseLogit = 48 * 0.8;
        double p = 1 / (1 + Math.Exp(falseLogit - trueLogit)), seed = Expect.Normal(Shape.Of(1), 99)[0];
        // Along the tangent (0.8, −0.6): the cosine to the first centre grows by 0.8, that to the second falls by 0.6.
        double expected = seed * ((p - 1) * 40 * 0.8 - (1 - p) * 48 * 0.6);
        Assert.Equal(expected, run[1][0] * 0.8 - run[1][1] * 0.6, 1e-4 * Math.Abs(expected));
    }

    [Fact]
    public void TheMarginFallsWithTheAngleWithoutAStep()
    {
        foreach (var margin in new[] { ArcFace, CosFace, SphereFace, Paper, Combined, new Margin(1, 1, 4, 0, 0) })
        {
            const int steps = 20_000;
            double before = double.PositiveInfinity;
            for (int i = 0; i <= steps; i++)
            {
                double logit = margin.True(Math.Cos(Math.PI * i / steps)).Logit;
                Assert.True(logit <= before, $"{margin} rises at {i}");
                if (i > 0 && i < steps) Assert.True(i == 1 || before - logit < 1.01 * margin.TrueScale * margin.M1 * Math.PI / steps + 1e-9, $"{margin} jumps at {i}");
                before = logit;
            }
        }
    }

    [Theory]
    [InlineData("AVX-512"), InlineData("AVX2"), InlineData("portable")]
    public void ThreadsDoNotChangeABit(string instructionSet)
    {
        Assert.SkipUnless(Cpu.InstructionSets.First(s => s.Name == instructionSet).Supported, $"this machine has no {instructionSet}");
        Shape[] shapes = [Shape.Of(20, 48), Shape.Of(3000, 48)];
        Assert.InRange(new MarginTiling(20, 48, 3000).Groups, 3, 100);
        float[][] values = [Expect.Normal(shapes[0], 0), Expect.Normal(shapes[1], 1)];
        var runs = new[] { 1, 2, 3 }.Select(threads =>
        {
            using var device = TestDevice.Open(instructionSet, threads);
            return Expect.Run(device, x => x[0].MarginSoftmax(x[1], Labels(20, 3000), Paper), shapes, values);
        }).ToArray();
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(runs[0][i], runs[1][i]);
            Assert.Equal(runs[0][i], runs[2][i]);
        }
    }

    /// At a random start the false cosines are normal with variance 1/d: E[L] ≈ ln C + s_f²/(2d) − s_t·(cos(m1·π/2 + m2) − m3).
    [Theory]
    [InlineData(1_000, 512), InlineData(10_000, 512), InlineData(100_000, 256)]
    public void InitialLossIsAsPredicted(int classes, int dimension)
    {
        // The true logit of a row scatters by about s_t/√d: so many rows bring the mean within 0.5 %.
        const int batch = 256;
        using var device = Cpu.Create(2);
        int[] labels = [.. Enumerable.Range(0, batch).Select(b => Noise.Below(classes, 4, 0, (ulong)b))];
        foreach (var margin in dimension == 512 ? new[] { ArcFace, Paper } : [Paper])
        {
            using var tape = new Tape(device, record: false);
            using var centres = device.From(Shape.Of(classes, dimension), Uniform(classes * dimension, 1));
            var loss = tape.Input(Shape.Of(batch, dimension), Uniform(batch * dimension, 2)).MarginSoftmax(centres, labels, margin).Item();
            double predicted = Math.Log(classes) + margin.FalseScale * margin.FalseScale / (2.0 * dimension) - margin.TrueScale * (Math.Cos(margin.M1 * Math.PI / 2 + margin.M2) - margin.M3);
            Assert.True(Math.Abs(loss / predicted - 1) < 0.03, $"{margin}: {loss}, predicted {predicted}");
        }
        float[] Uniform(int count, ulong stream)
        {
            var values = new float[count];
            for (int i = 0; i < count; i++) values[i] = (float)Noise.Uniform(5, stream, (ulong)i) - 0.5f;
            return values;
        }
    }

    [Fact]
    public void NeverHoldsTheLogits()
    {
        const int batch = 512, dimension = 16, classes = 20_000;
        const long logits = 4L * batch * classes;
        using var device = Cpu.Create();
        using var meter = new Meter();
        foreach (bool recompute in new[] { true, false })
            foreach (bool update in new[] { true, false })
            {
                long peak = Peak(device, recompute, update);
                Assert.Equal(peak, Peak(meter, recompute, update));
                long most = (recompute ? 0 : logits / 2) + (update ? 0 : CpuLayout.Bytes(Shape.Of(classes, dimension)));
                Assert.InRange(peak, most, most + most / 8 + logits / 16);
            }

        /// The most memory during a step beyond the centres.
        static long Peak(Device device, bool recompute, bool update)
        {
            Shape[] shapes = [Shape.Of(batch, dimension), Shape.Of(classes, dimension)];
            using var centres = device.Parameter("centres", shapes[1]);
            device.Write(centres, Expect.Normal(shapes[1], 1));
            using var tape = new Tape(device);
            var embeddings = tape.Input(shapes[0], Expect.Normal(shapes[0], 0));
            embeddings.NeedsGradient = true;
            device.ResetPeak();
            long before = device.LiveBytes;
            tape.Backward(embeddings.MarginSoftmax(centres, Labels(batch, classes), Paper, recompute, update ? new(null, 0.1f, 0, false, 0) : null));
            return device.PeakBytes - before;
        }
    }

    /// As many cosines as fit the memory for them, one class more, one row more; a batch of which no tile fits.
    [Fact]
    public void AboveALimitTheCosinesAreComputedAgain()
    {
        var fits = new MarginTiling(512, 16, 131_072);
        Assert.Equal((fits.Tiles, 131_072), (fits.KeptTiles, fits.Kept.Rows));
        Assert.Equal(MarginTiling.MostKeptBytes, 4 * fits.Kept.Count);
        Assert.Equal(fits.Kept, (fits with { Classes = 131_073 }).Kept);
        Assert.Equal(1927, (fits with { Batch = 513 }).KeptTiles);
        Assert.Equal(70, (fits with { Classes = 70 }).Kept.Rows);
        Assert.Equal(0, (fits with { Batch = 1 << 21 }).KeptTiles);
    }

    [Fact]
    public void ClassesPastTheLimitHaveTheExactGradient()
    {
        const int batch = 1024, dimension = 8, classes = 65_536 + 200, kept = 65_536;
        using var device = Cpu.Create(2);
        float[] Gradient(bool recompute)
        {
            using var tape = new Tape(device);
            Shape[] shapes = [Shape.Of(batch, dimension), Shape.Of(classes, dimension)];
            Tensor x = tape.Input(shapes[0], Expect.Normal(shapes[0], 0)), w = tape.Input(shapes[1], Expect.Normal(shapes[1], 1));
            w.NeedsGradient = true;
            tape.Backward(x.MarginSoftmax(w, Labels(batch, classes), Paper, recompute));
            return w.Gradient!.ToArray();
        }
        float[] some = Gradient(recompute: false), all = Gradient(recompute: true);
        Assert.NotEqual(all[..(kept * dimension)], some[..(kept * dimension)]);
        Assert.Equal(all[(kept * dimension)..], some[(kept * dimension)..]);
        double size = Math.Sqrt(all.Sum(g => (double)g * g)), error = Math.Sqrt(all.Zip(some).Sum(p => Math.Pow(p.First - p.Second, 2)));
        Assert.True(error < 1e-3 * size, $"{error} of {size}");
    }

    [Theory, EveryDevice]
    public void ANaNShowsInTheLoss(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Shape[] shapes = [Shape.Of(2, 20), Shape.Of(100, 20)];
        for (int broken = 0; broken < 2; broken++)
        {
            float[][] values = [Expect.Normal(shapes[0], 0), Expect.Normal(shapes[1], 1)];
            values[broken][25] = float.NaN;
            Assert.Equal(float.NaN, Expect.Run(device, x => x[0].MarginSoftmax(x[1], [0, 90], ArcFace), shapes, values)[0][0]);
        }
    }

    [Fact]
    public void NamesTheLabelItRejects()
    {
        using var device = Cpu.Create();
        Tensor x = device.Parameter("x", Shape.Of(3, 4)), centres = device.Parameter("w", Shape.Of(5, 4));
        Assert.Equal("MarginSoftmax: labels[1] is 5 but there are 5 classes; expected 0 to 4, or -1 to ignore the row",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(centres, [0, 5, 1], ArcFace)).Message);
        Assert.Equal("MarginSoftmax: labels must be one for each of the 3 embeddings but there are 2",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(centres, [0, 1], ArcFace)).Message);
        Assert.Equal("MarginSoftmax: centres must have shape [5, 4] but its shape is [5, 3]",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(device.New(Shape.Of(5, 3)), [0, 1, 2], ArcFace)).Message);
    }
}