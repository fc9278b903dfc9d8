using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>Steps that a GPU repeats without being told, on the simulated one: its recording holds what a CUDA graph would.</summary>
public class ReplayTests
{
    const int Steps = 8;
    // More people than a batch has images, so that there is something to draw.
    static readonly FaceSet Faces = Synth.Generate(20, 3, 32, 2, seed: 3);

    static Gpu Open(bool replays)
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        return new(GpuAccelerator.Simulated) { Poison = true, GradientFloats = 1 << 12, Replays = replays };
    }

    /// <summary>Everything that changes from step to step does: rate, margin, dropout, whether there is something to clip.</summary>
    static Settings Changing(string optimizer, double clip, double sample = 1)
    {
        var settings = new Settings
        {
            Data = new() { Size = 32, Margin = 2 },
            Net = new() { Width = 0.5, Depth = 0.5, Dropout = 0.3, Embedding = 32 },
            Head = new() { TrueScale = 16, FalseScale = 16, M1 = 1.1, M2 = 0.1, M3 = 0.1, Ramp = 1, Sample = sample },
            Train = new() { Optimizer = optimizer, Clip = clip, Rate = 0.01, WarmUp = 0.5, Batch = 8 },
        };
        return settings with { Train = settings.Train with { Budget = (Steps + 0.5) * TrainingPlan.Of(settings, Faces.Identities).StepWork } };
    }

    static float[] Run(Gpu device, Settings settings, Action<int>? before = null)
    {
        using (device)
        {
            using var training = Training.Start(settings, Faces, device);
            var told = new List<float>();
            for (int step = 0; step < Steps; step++)
            {
                before?.Invoke(step);
                training.Advance(step + 1);
                told.Add((float)training.Loss);
            }
            return [.. told, .. training.Backbone.Parameters.Concat(training.Backbone.Buffers).SelectMany(p => p.ToArray())];
        }
    }

    [Theory]
    [InlineData("sgd", 3.5, 1)]
    [InlineData("sgd", 0, 1)]
    [InlineData("adamw", 3.5, 1)]
    [InlineData("sgd", 0, 0.5)]
    [InlineData("adamw", 3.5, 0.5)]
    public void RepeatedStepsHaveTheBitsOfToldOnes(string optimizer, double clip, double sample)
    {
        var settings = Changing(optimizer, clip, sample);
        Gpu told = Open(replays: false), repeated = Open(replays: true);
        Assert.Equal(Run(told, settings), Run(repeated, settings));
        Assert.Equal(0, told.Repeated);
        // The first is told, the second recorded.
        Assert.Equal(Steps - 1, repeated.Repeated);
    }

    /// <summary>Hand-written kernels read margin, rate and the step of a draw in memory too.</summary>
    [Theory]
    [InlineData("sgd", 3.5, 1)]
    [InlineData("sgd", 0, 1)]
    [InlineData("sgd", 0, 0.5)]
    [InlineData("adamw", 3.5, 0.5)]
    public void StepsInBf16AreRepeatedToo(string optimizer, double clip, double sample)
    {
        var settings = Changing(optimizer, clip, sample);
        Gpu told = TestDevice.OpenBf16(replays: false), repeated = TestDevice.OpenBf16();
        Assert.Equal(Run(told, settings), Run(repeated, settings));
        Assert.Equal((0, Steps - 1), (told.Repeated, repeated.Repeated));
    }

    /// <summary>Tensor maps are made by the first steps, which find their places in memory.</summary>
    [Fact]
    public void StepsOnHopperAreRepeatedOnceTheirTensorMapsAreMade()
    {
        var settings = Changing("sgd", 3.5);
        Gpu told = TestDevice.OpenBf16(hopper: true, replays: false), repeated = TestDevice.OpenBf16(hopper: true);
        Assert.Equal(Run(told, settings), Run(repeated, settings));
        Assert.InRange(repeated.Repeated, Steps - 3, Steps - 1);
    }

    /// What somebody takes between two steps may be what the recorded step writes to: then it is told once more.
    [Fact]
    public void MemoryThatIsTakenMeanwhileIsLeftAlone()
    {
        var settings = Changing("sgd", 3.5);
        var expected = Run(Open(replays: false), settings);
        var device = Open(replays: true);
        var taken = new List<(Tensor Tensor, float[] Values)>();
        var actual = Run(device, settings, step =>
        {
            if (step is 4)
                foreach (int size in (int[])[100, 3000, 20_000, 60_000, 200_000])
                {
                    var values = Enumerable.Range(0, size).Select(i => (float)i).ToArray();
                    taken.Add((device.From(Shape.Of(size), values), values));
                }
            if (step is 6) Assert.All(taken, t => Assert.Equal(t.Values, t.Tensor.ToArray()));
        });
        Assert.Equal(expected, actual);
        // Steps 1 to 3; 4 is told, 5 recorded anew.
        Assert.Equal(6, device.Repeated);
    }

    /// The scales of the margin are arguments of kernels.
    [Fact]
    public void WhatIsNotReadInMemoryIsToldAnew()
    {
        Assert.Equal(Bits(replays: false), Bits(replays: true));

        static float[] Bits(bool replays)
        {
            using var device = Open(replays);
            var settings = Changing("sgd", 3.5);
            using var learner = new Learner(device, settings, Faces.Identities);
            var batches = new Batches(Faces, settings.Data.Size, settings.Train.Batch, settings.Seed, new());
            for (int step = 0; step < 6; step++)
            {
                batches.Fill(step, learner.Exchange.Next.Span, learner.Exchange.NextLabels);
                learner.Send(step, 0.01, new(16, step < 3 ? 16 : 12, 1, 0.1f, 0));
                learner.Start();
                learner.Finish();
            }
            Assert.Equal(replays ? 4 : 0, device.Repeated);
            return [.. learner.State.SelectMany(t => t.ToArray())];
        }
    }

    [Fact]
    public void AStepThatCannotBeRecordedIsToldEachTime()
    {
        using var device = Open(replays: true);
        using var x = device.From(Shape.Of(3), [1, 2, 3]);
        using var exchange = device.NewExchange(Shape.Map(1, 1, 1, 1), new float[256]);
        using Recording looks = new(), keeps = new(), writes = new();
        var kept = new List<Tensor>();
        int done = 0;
        for (int i = 0; i < 6; i++)
        {
            device.Repeat(looks, exchange, () => done += x.ToArray().Length / 3);
            device.Repeat(keeps, exchange, () => kept.Add(device.New(Shape.Of(7))));
            device.Repeat(writes, exchange, () => device.Write(x, [1, 2, 3]));
        }
        Assert.Equal(6, done);
        Assert.Contains("the host waits for values", looks.WhyNot);
        Assert.Contains("new memory", keeps.WhyNot);
        Assert.Contains("values of the host", writes.WhyNot);
        Assert.Equal(0, device.Repeated);
        foreach (var tensor in kept) tensor.Dispose();
    }

    /// A gradient that is not finite moves nothing, on the device, and is told of by name.
    [Theory]
    [InlineData("sgd")]
    [InlineData("adamw")]
    public void NothingMovesByAGradientThatIsNotFinite(string optimizer)
    {
        using var device = Open(replays: true);
        var settings = Changing(optimizer, 3.5);
        using var learner = new Learner(device, settings, Faces.Identities);
        var faces = new float[learner.Exchange.Next.Length];
        float[] Parameters() => [.. learner.Backbone.Parameters.SelectMany(p => p.ToArray())];
        int[] labels = [0, 1, 2, 3, 4, 5, 0, 1];
        for (int step = 0; step < 4; step++) learner.Step(Expect.Normal(learner.Exchange.Images.Shape, step), labels, step, 0.01, new(16, 16, 1, 0.1f, 0));
        var before = Parameters();
        faces.AsSpan().Fill(float.PositiveInfinity);
        var error = Assert.Throws<DivergedException>(() => learner.Step(faces, labels, 4, 0.01, new(16, 16, 1, 0.1f, 0)));
        Assert.Equal(4, error.Step);
        Assert.Matches(@"conv2d .* is not finite", error.Message);
        Assert.Equal(before, Parameters());
    }
}
