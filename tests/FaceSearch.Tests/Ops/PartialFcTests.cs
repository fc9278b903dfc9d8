using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>The draw of a step's classes, the head over them, and what becomes of the centres that are not drawn.</summary>
public class PartialFcTests
{
    static readonly Margin Combined = new(16, 12, 1.1f, 0.3f, 0.2f);

    /// Batch, dimension, classes, rate: batches with classes twice and rows without one; draws of less than a tile, of whole tiles and one more, of no more than the batch, of all but one class.
    static readonly (int Batch, int Dimension, int Classes, double Rate)[] Sizes =
        [(5, 7, 40, 0.3), (17, 33, 200, 0.32), (3, 64, 500, 0.256), (20, 40, 1100, 0.5), (30, 16, 129, 0.01), (9, 48, 4098, 0.99), (4, 257, 70, 69.0 / 70), (1, 8, 3, 0.5), (33, 128, 900, 129.0 / 900)];

    static int[] Labels(int batch, int classes) => [.. MarginSoftmaxTests.Labels((batch + 1) / 2, classes).SelectMany(label => new[] { label, label }).Take(batch)];

    static int[] Integers(Tensor t) => [.. t.ToArray().Select(v => t.Device is Reference ? (int)v : BitConverter.SingleToInt32Bits(v))];

    static (int[] Classes, int[] Places) Draw(Device device, int[] labels, int classes, PartialFc partial)
    {
        using Tensor drawn = device.New(Shape.Of(partial.CountOf(classes, labels.Length))), places = device.New(Shape.Of(labels.Length));
        device.PartialFc(labels, classes, partial, null, new(drawn, places));
        return (Integers(drawn), Integers(places));
    }

    /// Every class at most once, the batch's first, each row at its class.
    [Fact]
    public void DrawsTheBatchAndOthersAtMostOnce()
    {
        using var device = new Reference();
        foreach (var (batch, _, classes, rate) in Sizes)
        {
            int[] labels = Labels(batch, classes), ofBatch = [.. labels.Where(label => label >= 0).Distinct()];
            var (drawn, places) = Draw(device, labels, classes, new(rate, 5, 3));
            Assert.Equal(ofBatch, drawn[..ofBatch.Length]);
            Assert.Equal(drawn.Length, drawn.Distinct().Count());
            Assert.All(drawn, c => Assert.InRange(c, 0, classes - 1));
            for (int b = 0; b < batch; b++) Assert.Equal(labels[b], places[b] < 0 ? -1 : drawn[places[b]]);
            if (drawn.Length < classes / 2 && drawn.Length > batch) Assert.NotEqual(drawn, Draw(device, labels, classes, new(rate, 5, 4)).Classes);
        }
    }

    [Theory, EveryDevice]
    public void EveryDeviceDrawsTheSame(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        DrawsAsTheReference(device);
    }

    [Fact]
    public void TensorCoresDrawTheSame()
    {
        using var device = TestDevice.OpenBf16();
        DrawsAsTheReference(device);
    }

    static void DrawsAsTheReference(Device device)
    {
        using var reference = new Reference();
        foreach (var (batch, classes, rate) in Sizes.Select(s => (s.Batch, s.Classes, s.Rate)).Append((300, 20_000, 0.45)))
            for (ulong step = 0; step < 2; step++)
            {
                var (classesThere, placesThere) = Draw(reference, Labels(batch, classes), classes, new(rate, 9, step));
                var (classesHere, placesHere) = Draw(device, Labels(batch, classes), classes, new(rate, 9, step));
                Assert.Equal(classesThere, classesHere);
                Assert.Equal(placesThere, placesHere);
            }
    }

    [Theory, InlineData(1000, 0.1, 64, 100), InlineData(1000, 0.01, 64, 64), InlineData(50, 0.5, 64, 50), InlineData(3, 1, 1, 3), InlineData(10_000_000, 0.1, 1024, 1_000_000)]
    public void TakesAtLeastABatch(int classes, double rate, int batch, int expected) => Assert.Equal(expected, new PartialFc(rate, 0, 0).CountOf(classes, batch));

    /// A step of the head: loss, the embeddings' gradient, the centres' (or what an update left), velocities.
    sealed record Result(float Loss, float[] DUnit, float[] DCentres, int[] Rows, float[] Centres, float[] Velocities);

    static Result Run(Device device, float[] embeddings, float[] centres, int dimension, int[] labels, PartialFc? partial, bool update = false, bool recompute = true)
    {
        Shape ofCentres = Shape.Of(centres.Length / dimension, dimension);
        using Tensor w = device.Parameter("w", ofCentres), velocity = device.From(ofCentres, [.. centres.Select(v => 0.1f * v)]), x = device.Parameter("x", Shape.Of(labels.Length, dimension));
        device.Write(w, centres);
        device.Write(x, embeddings);
        using var tape = new Tape(device);
        var loss = Expect.OnTape(tape, x).MarginSoftmax(w, labels, Combined, recompute, update ? new(velocity, 0.1f, 0.9f, true, 0.01f) : null, partial: partial);
        float value = loss.Item();
        tape.Backward(loss);
        return new(value, x.Gradient!.ToArray(), w.Gradient?.ToArray() ?? [], w.Gradient?.OfRows is { } rows ? Integers(rows) : [], w.ToArray(), velocity.ToArray());
    }

    /// Loss and gradients have the bits of the head without a draw over these classes; with an update, these centres and velocities too, and the others those they had.
    static void ComparesWithTheHeadOverThem(Device device)
    {
        foreach (var (batch, dimension, classes, rate) in Sizes)
            foreach (bool recompute in new[] { true, false })
            {
                int[] labels = Labels(batch, classes);
                float[] embeddings = Expect.Normal(Shape.Of(batch, dimension), 0), centres = Expect.Normal(Shape.Of(classes, dimension), 1);
                var partial = new PartialFc(rate, 3, 1);
                var (drawn, places) = Draw(device, labels, classes, partial);
                float[] Gathered(float[] rows) => [.. drawn.SelectMany(c => rows[(c * dimension)..((c + 1) * dimension)])];
                Result some = Run(device, embeddings, centres, dimension, labels, partial, recompute: recompute), whole = Run(device, embeddings, Gathered(centres), dimension, places, null, recompute: recompute);
                Assert.Equal((whole.Loss, drawn.Length), (some.Loss, some.Rows.Length));
                Assert.Equal(whole.DUnit, some.DUnit);
                Assert.Equal(drawn, some.Rows);
                Assert.Equal(whole.DCentres, some.DCentres);

                Result moved = Run(device, embeddings, centres, dimension, labels, partial, update: true, recompute), wholeMoved = Run(device, embeddings, Gathered(centres), dimension, places, null, update: true, recompute);
                Assert.Equal(wholeMoved.Centres, Gathered(moved.Centres));
                Assert.Equal(wholeMoved.Velocities, Gathered(moved.Velocities));
                foreach (int c in Enumerable.Range(0, classes).Except(drawn))
                {
                    Assert.Equal(centres[c * dimension], moved.Centres[c * dimension]);
                    Assert.Equal(0.1f * centres[(c + 1) * dimension - 1], moved.Velocities[(c + 1) * dimension - 1]);
                }
                Assert.NotEqual(centres, moved.Centres);
            }
    }

    [Theory, EveryDevice]
    public void IsTheHeadOverTheDrawnClasses(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        ComparesWithTheHeadOverThem(device);
    }

    [Fact]
    public void TheReferenceIsTheHeadOverTheDrawnClasses()
    {
        using var device = new Reference();
        ComparesWithTheHeadOverThem(device);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void OnTensorCoresItIsTheHeadOverTheDrawnClasses(bool hopper)
    {
        using var device = TestDevice.OpenBf16(hopper);
        ComparesWithTheHeadOverThem(device);
    }

    /// By central differences in double precision; a centre that is not drawn changes nothing.
    [Fact]
    public void GradientIsRight()
    {
        const int dimension = 4, classes = 20;
        const double step = 1e-6;
        int[] labels = [2, -1, 0, 6, 2];
        var partial = new PartialFc(0.4, 11, 2);
        using var device = new Reference();
        float[] embeddings = Expect.Normal(Shape.Of(labels.Length, dimension), 0), centres = Expect.Normal(Shape.Of(classes, dimension), 1);
        var result = Run(device, embeddings, centres, dimension, labels, partial);
        using var w = device.Parameter("w", Shape.Of(classes, dimension));
        device.Write(w, centres);
        double Loss()
        {
            using var tape = new Tape(device);
            return Reference.Of(tape.Input(Shape.Of(labels.Length, dimension), embeddings).MarginSoftmax(w, labels, Combined, partial: partial))[0];
        }
        double largest = result.DCentres.Max(Math.Abs);
        Assert.InRange(largest, 1e-3, 1e3);
        for (int i = 0; i < centres.Length; i++)
        {
            Reference.Of(w)[i] += step;
            double above = Loss();
            Reference.Of(w)[i] -= 2 * step;
            double numeric = (above - Loss()) / (2 * step);
            Reference.Of(w)[i] += step;
            int slot = Array.IndexOf(result.Rows, i / dimension);
            Assert.Equal(slot < 0 ? 0 : result.DCentres[slot * dimension + i % dimension], numeric, 1e-6 * largest);
        }
        Expect.Gradient(x => x[0].MarginSoftmax(x[0].Device.From(w.Shape, centres), labels, Combined, partial: partial), [Shape.Of(labels.Length, dimension)], tolerance: 1e-5);
    }

    /// Optimisers on a gradient of some rows: those rows as if they were all there is, the others and their state as they were.
    [Theory, EveryDevice]
    public void OptimisersMoveTheRowsOfAGradientAlone(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        OptimisersMoveSomeRows(device);
    }

    [Fact]
    public void TheReferencesOptimisersMoveTheRowsOfAGradientAlone()
    {
        using var device = new Reference();
        OptimisersMoveSomeRows(device);
    }

    static void OptimisersMoveSomeRows(Device device)
    {
        foreach (var (rows, columns, drawn) in new[] { (9, 5, new[] { 8, 0, 3 }), (40, 16, [39, 7]), (300, 33, [.. Enumerable.Range(0, 150).Select(i => 299 - 2 * i)]), (2, 1, [1]) })
            foreach (bool adam in new[] { false, true })
            {
                float[][] Step(float[][] state, bool indexed)
                {
                    var shape = Shape.Of(state[0].Length / columns, columns);
                    Tensor[] t = [.. state.Select(values => device.From(shape, values))];
                    using var gradient = device.From(Shape.Of(drawn.Length, columns), Expect.Normal(Shape.Of(drawn.Length, columns), 4));
                    if (indexed) gradient.OfRows = device.From(Shape.Of(drawn.Length), [.. drawn.Select(r => device is Reference ? r : BitConverter.Int32BitsToSingle(r))]);
                    if (adam) device.AdamW(t[0], gradient, t[1], t[2], 0.1f, 0.9f, 0.999f, 1e-8f, 0.01f, 3);
                    else device.Sgd(t[0], gradient, t[1], 0.1f, 0.9f, true, 0.01f);
                    float[][] after = [.. t.Select(x => x.ToArray())];
                    foreach (var x in t) x.Dispose();
                    return after;
                }
                float[][] all = [.. Enumerable.Range(0, 3).Select(i => Expect.Normal(Shape.Of(rows, columns), i).Select(v => i == 2 ? v * v : v).ToArray())];
                float[][] some = [.. all.Select(v => drawn.SelectMany(r => v[(r * columns)..((r + 1) * columns)]).ToArray())];
                float[][] moved = Step(all, indexed: true), expected = Step(some, indexed: false);
                for (int i = 0; i < 3; i++)
                {
                    for (int s = 0; s < drawn.Length; s++) expected[i].AsSpan(s * columns, columns).CopyTo(all[i].AsSpan(drawn[s] * columns));
                    Assert.Equal(all[i], moved[i]);
                }
            }
    }

    /// A rate of 1, and one at which a batch takes all classes: the head without a draw.
    [Theory, EveryDevice]
    public void WhereAllTakePartNothingIsDrawn(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (batch, dimension, classes, rate) in new[] { (5, 7, 130, 1.0), (40, 16, 40, 0.1), (17, 33, 65, 64.5 / 65) })
            foreach (bool update in new[] { false, true })
            {
                float[] embeddings = Expect.Normal(Shape.Of(batch, dimension), 0), centres = Expect.Normal(Shape.Of(classes, dimension), 1);
                Result Of(PartialFc? partial) => Run(device, embeddings, centres, dimension, Labels(batch, classes), partial, update, recompute: false);
                Result full = Of(null), partial = Of(new(rate, 3, 1));
                Assert.Equivalent(full, partial, strict: true);
                Assert.Empty(partial.Rows);
            }
    }

    /// A million logits that nobody holds: memory and work are as of the drawn classes, and the meter knows the memory.
    [Fact]
    public void WorkAndMemoryAreOfTheDrawnClasses()
    {
        const int batch = 64, dimension = 32, classes = 60_000;
        using var device = Cpu.Create(2);
        using var meter = new Meter();
        foreach (bool update in new[] { false, true })
        {
            var (some, work) = Step(device, classes, 0.1, update);
            Assert.Equal((some, work), Step(meter, classes, 0.1, update));
            var (few, fewWork) = Step(meter, classes / 10, 1, update);
            Assert.Equal(fewWork, work);
            // And the draw: a number for each class, and one for each place of the order.
            Assert.InRange(some - few, 1, 3 * 4 * classes / 10);
        }

        static (long Peak, Cost Work) Step(Device device, int classes, double rate, bool update)
        {
            using var centres = device.Parameter("w", Shape.Of(classes, dimension));
            device.Write(centres, Expect.Normal(centres.Shape, 1));
            using var tape = new Tape(device);
            var x = tape.Input(Shape.Of(batch, dimension), Expect.Normal(Shape.Of(batch, dimension), 0));
            x.NeedsGradient = true;
            device.ResetPeak();
            long before = device.LiveBytes;
            tape.Backward(x.MarginSoftmax(centres, Labels(batch, classes), Combined, update: update ? new(null, 0.1f, 0, false, 0) : null, partial: new(rate, 1, 1)));
            return (device.PeakBytes - before, tape.Forward + tape.BackwardCost);
        }
    }

    [Fact]
    public void NamesWhatItRejects()
    {
        using var device = Cpu.Create();
        Tensor x = device.Parameter("x", Shape.Of(2, 4)), w = device.Parameter("w", Shape.Of(50, 4));
        foreach (double rate in new[] { 0, -1, 1.1, double.NaN })
            Assert.Contains("the share of classes must be above 0 and at most 1", Assert.Throws<ShapeException>(() => x.MarginSoftmax(w, [0, 1], Combined, partial: new(rate, 0, 0))).Message);
        using var tape = new Tape(device);
        Assert.Equal("MarginSoftmax: centres must be a parameter where some of them are drawn, but they are the result of an op",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(Expect.OnTape(tape, w), [0, 1], Combined, partial: new(0.5, 0, 0))).Message);
        // Sums of gradients of some rows have no rows.
        for (int step = 0; step < 2; step++)
        {
            using var steps = new Tape(device);
            var loss = Expect.OnTape(steps, x).MarginSoftmax(w, [0, 1], Combined, partial: new(0.5, 0, (ulong)step));
            if (step == 0) steps.Backward(loss);
            else Assert.Throws<InvalidOperationException>(() => steps.Backward(loss));
        }
    }
}
