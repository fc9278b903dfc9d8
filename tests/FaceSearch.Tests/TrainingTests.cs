using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

public class TrainingTests
{
    static readonly FaceSet Faces = Synth.Generate(6, 8, 32, 2, seed: 3);

    /// <summary>A training of that many steps on <see cref="Faces"/>.</summary>
    static Settings Small(int steps, Settings? changed = null, int batch = 16)
    {
        var settings = changed ?? new();
        settings = settings with
        {
            Data = settings.Data with { Size = 32, Margin = 2 },
            Net = settings.Net with { Embedding = 32 },
            Train = settings.Train with { Batch = batch },
        };
        return settings with { Train = settings.Train with { Budget = (steps + 0.5) * TrainingPlan.Of(settings, Faces.Identities).StepWork } };
    }

    static Settings Gentle => new() { Head = new() { TrueScale = 16, FalseScale = 16, M2 = 0.1 } };

    static int[] Bits(Training training) =>
        [.. training.Backbone.Parameters.Concat(training.Backbone.Buffers).SelectMany(p => p.ToArray()).Select(BitConverter.SingleToInt32Bits)];

    static int[] Trained(Settings settings, int threads)
    {
        using var device = Cpu.Create(threads);
        using var training = Training.Start(settings, Faces, device);
        training.Advance(training.Steps);
        return Bits(training);
    }

    [Fact]
    public void TheBudgetGivesTheSteps()
    {
        var settings = Small(30);
        Assert.Equal(30, TrainingPlan.Of(settings, Faces.Identities).Steps);
        Assert.Equal(60, TrainingPlan.Of(settings.With("Train.Budget", 2 * settings.Train.Budget), Faces.Identities).Steps, 1.0);
        Assert.Equal(1, TrainingPlan.Of(settings with { Train = settings.Train with { Budget = 1e-9 } }, Faces.Identities).Steps);
    }

    /// <summary>
    /// Loss to 1e-4, and the change of all weights together to 1 % of its length: more than rounding, because a value that
    /// rounding carries over a rectifier's kink changes its gradient as a whole.
    /// </summary>
    [Theory]
    [InlineData("resnet-mini")]
    [InlineData("mobilenetv2")]
    [InlineData("mobilefacenet")]
    [InlineData("iresnet18")]
    public void OneStepIsThatOfTheReference(string kind) => IsThatOfTheReference(kind, Cpu.Create(2));

    static void IsThatOfTheReference(string kind, Device device)
    {
        var settings = Small(1, Gentle with { Net = new() { Kind = kind, Width = 0.25, Depth = 0.5, SqueezeExcite = true, Dropout = 0.2 } }, batch: 6);
        var (expected, loss) = Change(settings, new Reference());
        var (actual, otherLoss) = Change(settings, device);
        Assert.InRange(otherLoss / loss, 1 - 1e-4, 1 + 1e-4);
        double error = expected.Zip(actual, (e, a) => (e - a) * (e - a)).Sum(), length = expected.Sum(e => e * e);
        Assert.True(error <= 1e-4 * length, $"relative error {Math.Sqrt(error / length):E1}");
    }

    /// <summary>As above, all of a step on the simulated GPU: every layer of every network, squeeze-excite and dropout included.</summary>
    [Theory]
    [InlineData("resnet-mini")]
    [InlineData("mobilenetv2")]
    [InlineData("mobilefacenet")]
    [InlineData("iresnet18")]
    public void OneStepOnAGpuIsThatOfTheReference(string kind)
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        IsThatOfTheReference(kind, TestDevice.Open(TestDevice.Simulated, 0));
        // What is compiled here is what is checked for CUDA.
        Assert.Empty(GpuAccelerator.Simulated.Kernels.Except(FaceSearch.Tests.Devices.GpuKernelList.All));
    }

    /// <summary>
    /// As above in bf16, every layer of every network; what its kernels compute is proved op by op. Maps are off by 2⁻⁸ of themselves after each layer,
    /// and a batch norm over few values makes more of it the fewer they are: over 24 images the loss is up to 3 % off in
    /// the deepest network here (over 6 images 7 %), and the change points the same way (cosine 0.995 and more).
    /// </summary>
    [Theory]
    [InlineData("resnet-mini")]
    [InlineData("mobilenetv2")]
    [InlineData("mobilefacenet")]
    [InlineData("iresnet18")]
    public void OneStepInBf16IsNearThatOfTheReference(string kind)
    {
        var settings = Small(1, Gentle with { Net = new() { Kind = kind, Width = 0.25, Depth = 0.5, SqueezeExcite = true, Dropout = 0.2 } }, batch: 24);
        var (expected, loss) = Change(settings, new Reference());
        var (actual, otherLoss) = Change(settings, TestDevice.OpenBf16());
        Assert.Empty(GpuAccelerator.Simulated.Kernels.Except(FaceSearch.Tests.Devices.GpuKernelList.All));
        Assert.InRange(otherLoss / loss, 0.95, 1.05);
        double Dot(double[] a, double[] b) => a.Zip(b, (p, q) => p * q).Sum();
        double cosine = Dot(expected, actual) / Math.Sqrt(Dot(expected, expected) * Dot(actual, actual));
        Assert.True(cosine > 0.99, $"cosine of the changes {cosine}, loss {otherLoss} instead of {loss}");
    }

    /// <summary>
    /// Eight steps of SGD, of AdamW, and of SGD that moves the centres in the head: as on the CPU, and the same bits twice. At a
    /// gentle rate, since trainings that differ in rounding drift apart sooner or later.
    /// </summary>
    [Theory]
    [InlineData("sgd", 5)]
    [InlineData("sgd", 0)]
    [InlineData("adamw", 5)]
    public void ATrainingOnAGpuIsThatOfTheCpu(string optimizer, double clip)
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        var settings = Small(8, Gentle with
        {
            Train = new() { Optimizer = optimizer, Clip = clip, Rate = 0.0003 },
            Net = new() { Width = 0.5, Depth = 0.5, Dropout = 0.1 },
            Head = Gentle.Head with { Recompute = true },
        }, batch: 8);
        var (expected, loss) = Run(Cpu.Create(2));
        var (actual, otherLoss) = Run(TestDevice.Open(TestDevice.Simulated, 0));
        var (again, _) = Run(TestDevice.Open(TestDevice.Simulated, 0));
        Assert.Equal(actual, again);
        Assert.InRange(otherLoss / loss, 1 - 1e-5, 1 + 1e-5);
        double error = expected.Zip(actual, (e, a) => Math.Pow(e - a, 2)).Sum(), length = expected.Sum(e => (double)e * e);
        Assert.True(error <= 1e-10 * length, $"relative error {Math.Sqrt(error / length):E1}");

        (float[] Weights, double Loss) Run(Device device)
        {
            using (device)
            {
                using var training = Training.Start(settings, Faces, device);
                training.Advance(8);
                return ([.. training.Backbone.Parameters.SelectMany(p => p.ToArray())], training.Loss);
            }
        }
    }

    /// <summary>
    /// In bf16: the loss falls, ends within a tenth of the CPU's in fp32, and two trainings give the same bits. A logit is off by at
    /// most the scale times 2⁻⁸, 0.06 here, before gradients differ as well.
    /// </summary>
    [Theory, InlineData(0), InlineData(5)]
    public void ATrainingInBf16FollowsThatInFloats(double clip)
    {
        var settings = Small(30, Gentle with { Train = new() { Clip = clip, Rate = 0.005 }, Net = new() { Width = 0.5, Depth = 0.5 } }, batch: 8);
        var (first, loss) = Run(Cpu.Create(2));
        var (firstInBf16, lossInBf16) = Run(TestDevice.OpenBf16());
        Assert.InRange(firstInBf16, first - 0.06, first + 0.06);
        Assert.True(loss < 0.9 * first && lossInBf16 < 0.9 * firstInBf16, $"{first} → {loss}, in bf16 {firstInBf16} → {lossInBf16}");
        Assert.InRange(lossInBf16 / loss, 0.9, 1.1);
        Assert.NotEqual(loss, lossInBf16);
        Assert.Equal(lossInBf16, Run(TestDevice.OpenBf16()).Last);

        (double First, double Last) Run(Device device)
        {
            using (device)
            {
                using var training = Training.Start(settings, Faces, device);
                training.Advance(1);
                double first = training.Loss;
                training.Advance(30);
                return (first, training.Loss);
            }
        }
    }

    /// <summary>
    /// Maps and their gradients are most of a step's memory here, and bf16 halves them; weights, their gradients and moments, the
    /// head and the sums of gradients over slices of a batch stay floats.
    /// </summary>
    [Fact]
    public void AStepInBf16TakesLittleMoreThanHalfTheMemory()
    {
        var settings = Small(1, Gentle with { Net = new() { Kind = "mobilefacenet", Width = 0.25, Depth = 0.5 } }, batch: 48);
        long floats = Peak(TestDevice.Open(TestDevice.Simulated, 0)), halves = Peak(TestDevice.OpenBf16());
        Assert.True(halves < 0.62 * floats, $"{halves / 1024} KiB, in floats {floats / 1024}");

        long Peak(Device device)
        {
            using (device)
            {
                using var training = Training.Start(settings, Faces, device);
                device.ResetPeak();
                training.Advance(1);
                return device.PeakBytes;
            }
        }
    }

    /// <summary>What one step does to parameters and running statistics, and the loss before it.</summary>
    static (double[] Change, double Loss) Change(Settings settings, Device device)
    {
        using (device)
        {
            using var training = Training.Start(settings, Faces, device);
            double[] Values() => [.. training.Backbone.Parameters.Concat(training.Backbone.Buffers).SelectMany(p => p.ToArray()).Select(v => (double)v)];
            var before = Values();
            training.Advance(1);
            return ([.. Values().Zip(before, (now, was) => now - was)], training.Loss);
        }
    }

    [Theory]
    [InlineData("resnet-mini")]
    [InlineData("mobilefacenet")]
    public void SameSeedSameBitsWhateverTheThreads(string kind)
    {
        var settings = Small(6, Gentle with { Net = new() { Kind = kind, Width = 0.5, Dropout = 0.1 } });
        var once = Trained(settings, 1);
        Assert.Equal(once, Trained(settings, 1));
        Assert.Equal(once, Trained(settings, 2));
        Assert.Equal(once, Trained(settings, 3));
        Assert.NotEqual(once, Trained(settings with { Seed = 2 }, 1));
    }

    [Theory]
    [InlineData("sgd", 0.1)]
    [InlineData("adamw", 0.003)]
    public void TheLossFalls(string optimizer, double rate)
    {
        using var device = Cpu.Create(2);
        using var training = Training.Start(Small(60, Gentle with { Train = new() { Optimizer = optimizer, Rate = rate } }), Faces, device);
        var progress = new List<TrainProgress>();
        training.Advance(60, progress: new Immediately(progress.Add));
        Assert.True(training.Loss < 0.5 * training.FirstLoss, $"loss went from {training.FirstLoss} to {training.Loss}");
        Assert.Equal((60, 60), (progress[^1].Step, progress[^1].Steps));
        Assert.Equal(training.Loss, progress[^1].Loss);
    }

    [Theory]
    [InlineData("sgd", 5)]
    [InlineData("sgd", 0)]
    [InlineData("adamw", 5)]
    public void ResumesToTheSameBits(string optimizer, double clip)
    {
        var settings = Small(20, Gentle with { Train = new() { Optimizer = optimizer, Rate = 0.01, Clip = clip }, Net = new() { Dropout = 0.1 } });
        var path = Path.Combine(Directory.CreateTempSubdirectory().FullName, "half.checkpoint");
        using (var device = Cpu.Create(2))
        using (var half = Training.Start(settings, Faces, device))
        {
            half.Advance(10);
            half.Save(path);
        }
        using (var device = Cpu.Create(1))
        using (var resumed = Training.Resume(path, Faces, device))
        {
            Assert.Equal(10, resumed.Step);
            Assert.Equal(settings, resumed.Settings);
            resumed.Advance(20);
            Assert.Equal(Trained(settings, 1), Bits(resumed));
            using var same = Training.StartOrResume(path, settings, Faces, device);
            using var other = Training.StartOrResume(path, settings with { Seed = settings.Seed + 1 }, Faces, device);
            using var none = Training.StartOrResume(path + ".none", settings, Faces, device);
            Assert.Equal((10, 0, 0), (same.Step, other.Step, none.Step));
        }
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    /// A norm that no gradient reaches clips nothing but keeps the centres' gradient; without clipping it never exists.
    [Fact]
    public void WithoutClippingTheCentresMoveInTheHead()
    {
        Settings Clipped(double clip) => Small(3, Gentle with { Train = new() { Rate = 0.05, Clip = clip }, Net = new() { Width = 0.25, Depth = 0.2 }, Head = Gentle.Head with { Recompute = true } });
        var (dense, tiled) = (State(Clipped(1e6)), State(Clipped(0)));
        double error = dense.Zip(tiled, (a, b) => (double)(a - b) * (a - b)).Sum(), length = dense.Sum(a => (double)a * a);
        Assert.InRange(Math.Sqrt(error / length), 0, 1e-5);
        Assert.True(TrainingPlan.Of(Clipped(0), 100_000).MemoryMiB < TrainingPlan.Of(Clipped(1e6), 100_000).MemoryMiB - 4 * 100_000 * 32 / 1048576.0);

        static float[] State(Settings settings)
        {
            using var device = Cpu.Create();
            using var learner = new Learner(device, settings, Faces.Identities);
            var batches = new Batches(Faces, settings.Data.Size, settings.Train.Batch, settings.Seed, new(Flip: false));
            var (pixels, labels) = (new float[3 * settings.Train.Batch * settings.Data.Size * settings.Data.Size], new int[settings.Train.Batch]);
            // Two: the second one moves by a velocity. Further on, the two ways' roundings drift apart as any two trainings do.
            for (int step = 0; step < 2; step++)
            {
                batches.Fill(step, pixels, labels);
                learner.Step(pixels, labels, step, settings.Train.Rate, new Schedule(settings.Train, settings.Head, 3).Margin(step));
            }
            return [.. learner.State.SelectMany(t => t.ToArray())];
        }
    }

    [Fact]
    public void AbsurdRatesAreReportedAsDiverged()
    {
        using var device = Cpu.Create(2);
        using var flat = Training.Start(Small(250, Gentle with { Net = new() { Width = 0.5 }, Train = new() { Rate = 1000, Clip = 0, WarmUp = 0 } }), Faces, device);
        var error = Assert.Throws<DivergedException>(() => flat.Advance(250));
        Assert.InRange(error.Step, 100, 200);
        Assert.Contains("knows nothing", error.Message);
        using var infinite = Training.Start(Small(80, new Settings { Train = new() { Rate = 1e30, Clip = 0, WarmUp = 0 } }), Faces, device);
        error = Assert.Throws<DivergedException>(() => infinite.Advance(80));
        Assert.Contains("not finite", error.Message);
    }

    [Fact]
    public void StopsBetweenStepsAndGoesOn()
    {
        using var device = Cpu.Create();
        var settings = Small(6, Gentle);
        using var training = Training.Start(settings, Faces, device);
        training.Advance(3);
        Assert.Throws<OperationCanceledException>(() => training.Advance(6, new CancellationToken(canceled: true)));
        Assert.Equal(3, training.Step);
        training.Advance(6);
        Assert.Equal(Trained(settings, 1), Bits(training));
    }

    sealed class Immediately(Action<TrainProgress> report) : IProgress<TrainProgress>
    {
        public void Report(TrainProgress value) => report(value);
    }
}
