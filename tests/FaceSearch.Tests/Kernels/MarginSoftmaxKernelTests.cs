using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>
/// The emulated head against the fp64 reference on the same bf16 values. Cosines are fp32 sums: off by at most 2⁻²⁰, logits by
/// that times the scale. Gradients are rounded to bf16 before their products: off by 2⁻⁸ of the sum of their terms' sizes.
/// </summary>
public class MarginSoftmaxKernelTests
{
    static readonly Margin Combined = new(24, 20, 1.1f, 0.3f, 0.2f), Pure = new(16, 16, 1, 0, 0);
    const double CosineError = 1.0 / (1 << 20), Rounding = 1.0 / 256, MasterOffset = 1.0 / 2048;

    public static TheoryData<int, int, int, string> Sizes => new(
    [
        (1, 7, 1, "Bf16"), (5, 33, 129, "Bf16"), (130, 64, 127, "Bf16"), (17, 136, 300, "Bf16"), (9, 40, 260, "Floats"), (3, 129, 140, "Floats"),
        (64, 512, 700, "Bf16"), (1, 7, 1, "TensorMaps"), (130, 65, 129, "TensorMaps"), (9, 264, 260, "TensorMaps"),
    ]);

    [Theory, MemberData(nameof(Sizes))]
    public void LossAndGradientsMatchReference(int batch, int dimension, int classes, string form)
    {
        foreach (var margin in new[] { Combined, Pure }) Check(batch, dimension, classes, Enum.Parse<Centres>(form), margin);
    }

    /// Other sizes every run.
    [Fact]
    public void MatchesAtAnySize()
    {
        for (int n = 0; n < Fuzz.Times; n++)
            Check(1 + Fuzz.Below(150, 80 + n, 0), 2 + Fuzz.Below(200, 80 + n, 1), 1 + Fuzz.Below(300, 80 + n, 2), (Centres)(n % 3), n % 2 == 0 ? Combined : Pure);
    }

    static void Check(int batch, int dimension, int classes, Centres form, Margin margin)
    {
        var (unit, centres, labels) = Inputs(batch, dimension, classes);
        var expected = new Truth(unit, centres, labels, margin, batch, dimension, classes);
        using var head = new Head(batch, dimension, classes, margin, labels, form, order: Order.Forwards);
        // What bf16 rounds to the centres: the rounding of masters is part of what is tested. Their own gradient contains them unrounded.
        using Global<float> masters = new([.. centres.Select(w => w * (float)(1 + MasterOffset))]);
        var dCentres = head.Step(unit, masters, null, null, some: 128);
        string what = $"{batch}×{dimension}×{classes} {margin} (seed {Bf16.Seed})";
        double logitError = margin.TrueScale * CosineError * 8;
        Assert.True(Math.Abs(head.Loss - expected.Loss) <= logitError + 1e-6 * expected.Loss, $"loss {head.Loss:R}, expected {expected.Loss:R}, {what}");
        Close(expected.UnitGradient, expected.UnitSizes, head.UnitGradient, Rounding + 2 * logitError, "embeddings' gradient, " + what);
        Close(expected.CentreGradient, expected.CentreSizes, dCentres, Rounding + MasterOffset + 2 * logitError, "centres' gradient, " + what);
    }

    static readonly SgdRule?[] Rules = [new(0.5f, 0, false, 0), new(0.5f, 0.9f, false, 0.01f), new(0.5f, 0.9f, true, 0.01f)];

    [Theory, InlineData(9, 40, 200, 0), InlineData(20, 33, 130, 1), InlineData(6, 136, 129, 2)]
    public void UpdatingIsTheGradientThenSgd(int batch, int dimension, int classes, int which)
    {
        var rule = Rules[which]!.Value;
        var (unit, centres, labels) = Inputs(batch, dimension, classes);
        float[] before = Bf16.Normal(centres.Length, 9);
        using Head dense = new(batch, dimension, classes, Combined, labels, Centres.Bf16, Order.Forwards), moving = new(batch, dimension, classes, Combined, labels, Centres.Bf16, Order.Forwards);
        using Global<float> masters = new(centres), velocities = new(before);
        var gradient = dense.Step(unit, masters, null, null, 128);
        moving.Step(unit, masters, rule.Momentum == 0 ? null : velocities, rule, 128);
        Assert.Equal(dense.UnitGradient, moving.UnitGradient);
        int pitch = (dimension + 7) / 8 * 8;
        for (int i = 0; i < centres.Length; i++)
        {
            double g = gradient[i] + (double)rule.WeightDecay * centres[i], v = rule.Momentum * before[i] + g;
            double w = centres[i] - rule.Rate * (rule.Nesterov ? g + rule.Momentum * v : v), bound = 4e-7 * (Math.Abs(centres[i]) + Math.Abs(v) + Math.Abs(g));
            Assert.True(Math.Abs(w - masters.Values[i]) <= bound, $"centre {i}: {masters.Values[i]:R}, expected {w:R} (seed {Bf16.Seed})");
            if (rule.Momentum > 0) Assert.True(Math.Abs(v - velocities.Values[i]) <= bound);
            Assert.Equal(Bf16.Round(masters.Values[i]), moving.Copy!.Values[i / dimension * pitch + i % dimension]);
        }
        // What the step leaves is what packing the new centres would.
        var (copy, squares) = moving.Pack(masters, classes);
        Assert.Equal(copy.Values.ToArray(), moving.Copy!.Values.ToArray());
        for (int i = 0; i < squares.Count; i++) Assert.InRange(moving.NewSquares!.Values[i], 0.99999f * squares.Values[i], 1.00001f * squares.Values[i]);
    }

    [Fact]
    public void AFewStepsLowerTheLoss()
    {
        var (unit, centres, labels) = Inputs(20, 40, 150);
        using Global<float> masters = new(centres), velocities = new(new float[centres.Length]);
        using var head = new Head(20, 40, 150, Combined, labels, Centres.Bf16, Order.Forwards);
        float[] losses = [.. Enumerable.Range(0, 4).Select(_ =>
        {
            head.Step(unit, masters, velocities, new(0.3f, 0.5f, false, 0), 128);
            return head.Loss;
        })];
        for (int i = 1; i < losses.Length; i++) Assert.True(losses[i] < 0.95 * losses[i - 1], $"{string.Join(", ", losses)} (seed {Bf16.Seed})");
    }

    [Theory, InlineData("Bf16"), InlineData("TensorMaps")]
    public void OrderOfThreadsDoesNotChangeABit(string form)
    {
        const int batch = 140, dimension = 72, classes = 260;
        var (unit, centres, labels) = Inputs(batch, dimension, classes);
        var runs = Enum.GetValues<Order>().Select(order =>
        {
            using Global<float> masters = new(centres), velocities = new(new float[centres.Length]);
            using var head = new Head(batch, dimension, classes, Combined, labels, Enum.Parse<Centres>(form), order);
            head.Step(unit, masters, velocities, Rules[1], 256);
            return (float[])[head.Loss, .. head.UnitGradient, .. masters.Values, .. velocities.Values, .. head.NewSquares!.Values];
        }).ToArray();
        Assert.All(runs, run => Assert.Equal(runs[0], run));
    }

    [Fact]
    public void ABrokenCentreShowsInTheLoss()
    {
        var (unit, centres, labels) = Inputs(4, 16, 20);
        centres[7 * 16 + 3] = float.PositiveInfinity;
        using var head = new Head(4, 16, 20, Pure, labels, Centres.Bf16, Order.Forwards);
        using Global<float> masters = new(centres);
        head.Step(unit, masters, null, null, 128);
        Assert.True(float.IsNaN(head.Loss));
    }

    /// All angles, past π too, and cosines that rounding put beyond 1. A logit is off by 10⁻⁶ of its scale, the slope by 10⁻⁶/sin θ.
    [Fact]
    public void RowsKnowTheMarginAtEveryAngle()
    {
        float[] cosines = [1.0001f, 1, -1, -1.0001f, 0, .. Enumerable.Range(0, 155).Select(i => (float)Math.Cos(Math.PI * Noise.Uniform(Bf16.Seed, 30, (ulong)i)))];
        float[] logSums = Bf16.Normal(cosines.Length, 31, 12);
        int[] labels = [.. cosines.Select((_, b) => b % 9 == 7 ? -1 : b)];
        int counted = labels.Count(label => label >= 0);
        foreach (var margin in new[] { Combined, Pure, new(64, 48, 1, 0.5f, 0), new(30, 30, 1.5f, 0, 0), new(10, 10, 2.2f, 1, 0.35f), new(32, 32, 0.9f, -0.2f, 0), Combined with { StraightThrough = true } })
        {
            using Global<float> ofCosines = new(cosines), partials = new([.. logSums.SelectMany(f => new[] { f * MathF.Log2(MathF.E), 1 })]), falseLogSums = new(cosines.Length),
                losses = new(cosines.Length), one = new([1f]), rows = new(3 * cosines.Length), numbers = new(GpuNumbers.Count(cosines.Length));
            GpuNumbers.Write(numbers.Values, new() { Margin = margin }, labels);
            using Global<int> labelled = new(labels);
            var args = new MarginRowsArguments
            {
                Partials = partials.Address, Cosines = ofCosines.Address, Labels = labelled.Address, FalseLogSums = falseLogSums.Address, Losses = losses.Address,
                Numbers = numbers.Address, Scales = new(margin), Batch = cosines.Length, Tiles = 1,
            };
            Emulator.Run(CudaKernels.MarginRows(args), args);
            var prepare = new MarginPrepareArguments
            {
                Cosines = ofCosines.Address, FalseLogSums = falseLogSums.Address, Labels = labelled.Address, LossGradient = one.Address, Rows = rows.Address,
                Numbers = numbers.Address, Scales = new(margin), Batch = cosines.Length,
            };
            Emulator.Run(CudaKernels.MarginPrepare(prepare), prepare);
            for (int b = 0; b < cosines.Length; b++)
            {
                string what = $"cosine {cosines[b]:R} of {margin} (seed {Bf16.Seed})";
                var (logit, slope) = margin.True(cosines[b]);
                var (loss, miss) = Margin.CrossEntropy(logit, logSums[b]);
                if (labels[b] < 0) (loss, miss) = (0, 0);
                double error = 1e-6 * (margin.TrueScale + Math.Abs(logit) + Math.Abs(logSums[b])), sine = Math.Sqrt(Math.Max(2e-7, 1 - (double)cosines[b] * cosines[b]));
                Assert.True(Math.Abs(losses.Values[b] - loss) <= error * Math.Min(1, 2 * miss) + 1e-6 * loss, $"loss {losses.Values[b]:R}, expected {loss:R} at {what}");
                double own = -miss * slope / counted, bound = miss / counted * (margin.TrueScale * margin.M1 * 1e-6 / sine + Math.Abs(slope) * (2 * error + 1e-6));
                Assert.True(Math.Abs(rows.Values[2 * cosines.Length + b] - own) <= bound + 1e-30, $"gradient {rows.Values[2 * cosines.Length + b]:R}, expected {own:R} ± {bound:E1} at {what}");
            }
        }
    }

    /// Some tiles joined, and what they gave once more, as a large head does; to double precision, in any order of threads with the same bits.
    [Theory, InlineData(1, 1), InlineData(5, 3), InlineData(8, 128), InlineData(13, 129), InlineData(33, 700)]
    public void SumsOfTilesAreJoined(int batch, int tiles)
    {
        float[] most = Bf16.Normal(batch * tiles, 32, 20), sums = [.. Bf16.Normal(batch * tiles, 33).Select(s => 1 + Math.Abs(s))];
        var runs = Enum.GetValues<Order>().Select(order =>
        {
            using Global<float> partials = new([.. most.Zip(sums, (m, s) => new[] { m, s }).SelectMany(p => p)]), joined = new(2 * batch);
            var args = new MarginJoinArguments { Partials = partials.Address, Joined = joined.Address, Batch = batch, Tiles = tiles };
            Emulator.Run(CudaKernels.MarginJoin(args), args, order);
            return joined.Values.ToArray();
        }).ToArray();
        Assert.All(runs, run => Assert.Equal(runs[0], run));
        for (int b = 0; b < batch; b++)
        {
            var own = Enumerable.Range(0, tiles).Select(t => t * batch + b).ToArray();
            double largest = own.Max(i => most[i]), expected = largest + Math.Log2(own.Sum(i => sums[i] * Math.Pow(2, most[i] - largest)));
            Assert.InRange(runs[0][2 * b] + Math.Log2(runs[0][2 * b + 1]), expected - 1e-5, expected + 1e-5);
        }
    }

    /// Unit embeddings and centres that bf16 holds; some rows have no class, one centre is zero, some classes have two rows.
    static (float[] Unit, float[] Centres, int[] Labels) Inputs(int batch, int dimension, int classes)
    {
        float[] unit = Bf16.Normal(batch * dimension, 0), centres = Bf16.Normal(classes * dimension, 1, 0.3);
        for (int b = 0; b < batch; b++)
        {
            var row = unit.AsSpan(b * dimension, dimension);
            double length = 0;
            foreach (float x in row) length += x * x;
            for (int k = 0; k < dimension; k++) row[k] = Bf16.Rounded((float)(row[k] / Math.Sqrt(length)));
        }
        int[] labels = [.. Enumerable.Range(0, batch).Select(b => b % 5 == 4 ? -1 : Noise.Below(classes, Bf16.Seed, 5, (ulong)(b / 2)))];
        // A row that knows its class well.
        if (labels[0] >= 0) for (int k = 0; k < dimension; k++) centres[labels[0] * dimension + k] = unit[k];
        if (classes > 3) Array.Clear(centres, (labels[0] + 1) % classes * dimension, dimension);
        return (unit, centres, labels);
    }

    static void Close(double[] expected, double[] sizes, float[] actual, double error, string what)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            double bound = error * sizes[i] + 1e-7;
            Assert.True(Math.Abs(expected[i] - actual[i]) <= bound, $"{what}: element {i} is {actual[i]:R}, expected {expected[i]:R} ± {bound:E1}");
        }
    }

    /// <summary>The reference's loss and gradients, and of each gradient the sum of its terms' sizes.</summary>
    sealed class Truth
    {
        public double Loss { get; }
        public double[] UnitGradient { get; }
        public double[] CentreGradient { get; }
        public double[] UnitSizes { get; }
        public double[] CentreSizes { get; }

        public Truth(float[] unit, float[] centres, int[] labels, Margin margin, int batch, int dimension, int classes)
        {
            using var device = new Reference();
            Tensor x = device.From(Shape.Of(batch, dimension), unit), w = device.From(Shape.Of(classes, dimension), centres), loss = device.New(Shape.Of(1)), one = device.From(Shape.Of(1), [1f]);
            Tensor dx = device.New(x.Shape), dw = device.New(w.Shape);
            var rows = new MarginRows(device.New(Shape.Of(batch)), device.New(Shape.Of(batch)), null);
            device.MarginSoftmax(x, w, labels, margin, rows, loss);
            device.MarginSoftmaxBackward(x, w, labels, margin, rows, one, dx, dw, null);
            (Loss, UnitGradient, CentreGradient) = (Reference.Of(loss)[0], Reference.Of(dx).ToArray(), Reference.Of(dw).ToArray());
            (UnitSizes, CentreSizes) = (new double[UnitGradient.Length], new double[CentreGradient.Length]);
            int counted = Math.Max(1, labels.Count(label => label >= 0));
            for (int b = 0; b < batch; b++)
                for (int c = 0; c < classes && labels[b] >= 0; c++)
                {
                    double dot = 0, squares = 0;
                    for (int k = 0; k < dimension; k++) (dot, squares) = (dot + (double)unit[b * dimension + k] * centres[c * dimension + k], squares + (double)centres[c * dimension + k] * centres[c * dimension + k]);
                    if (squares == 0) continue;
                    double length = Math.Sqrt(squares), cosine = dot / length;
                    var (logit, slope) = margin.True(Reference.Of(rows.Cosines)[b]);
                    var (rowLoss, miss) = Margin.CrossEntropy(logit, Reference.Of(rows.FalseLogSums)[b]);
                    // The slope's own error by that of the cosine, relative to it 1/sin²θ; in units of the 2⁻⁸ that sizes are worth.
                    double steep = 1 + 256 * CosineError / Math.Max(1e-7, 1 - cosine * cosine);
                    double g = (c == labels[b] ? miss * Math.Abs(slope) * steep : margin.FalseScale * Math.Exp(margin.FalseScale * cosine - logit - rowLoss)) / counted;
                    for (int k = 0; k < dimension; k++)
                    {
                        UnitSizes[b * dimension + k] += g * Math.Abs(centres[c * dimension + k]) / length;
                        CentreSizes[c * dimension + k] += g * (Math.Abs(unit[b * dimension + k]) + Math.Abs(cosine * centres[c * dimension + k] / length)) / length;
                    }
                }
        }
    }
}
