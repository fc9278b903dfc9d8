using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

/// <summary>Whole trainings with `Head.Sample` below 1: more people than a batch has images, a third of them in each step.</summary>
public class PartialFcTrainingTests
{
    static readonly FaceSet Faces = Synth.Generate(40, 4, 32, 2, seed: 3);

    static Settings Small(int steps, string optimizer = "sgd", double clip = 0, double rate = 0.01, double sample = 0.3)
    {
        var settings = new Settings
        {
            Data = new() { Size = 32, Margin = 2 },
            Net = new() { Width = 0.5, Depth = 0.5, Embedding = 32, Dropout = 0.1 },
            Head = new() { TrueScale = 16, FalseScale = 16, M2 = 0.1, Recompute = true, Sample = sample },
            Train = new() { Optimizer = optimizer, Clip = clip, Rate = rate, Batch = 8 },
        };
        return settings with { Train = settings.Train with { Budget = (steps + 0.5) * TrainingPlan.Of(settings, Faces.Identities).StepWork } };
    }

    /// Loss, and the checkpoint's bytes: network, centres, velocities or moments.
    static (double Loss, byte[] State) Trained(Settings settings, Device device, int steps)
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory().FullName, "checkpoint");
        using (device)
        {
            using var training = Training.Start(settings, Faces, device);
            training.Advance(steps);
            training.Save(path);
            return (training.Loss, Read(path));
        }
    }

    static byte[] Read(string path)
    {
        var bytes = File.ReadAllBytes(path);
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
        return bytes;
    }

    public static TheoryData<string, double> Optimizers => new() { { "sgd", 0 }, { "sgd", 5 }, { "adamw", 5 } };

    [Theory, MemberData(nameof(Optimizers))]
    public void ThreadsDoNotChangeABit(string optimizer, double clip)
    {
        var settings = Small(6, optimizer, clip);
        var once = Trained(settings, Cpu.Create(1), 6).State;
        Assert.Equal(once, Trained(settings, Cpu.Create(3), 6).State);
        Assert.NotEqual(once, Trained(settings with { Head = settings.Head with { Sample = 0.4 } }, Cpu.Create(1), 6).State);
    }

    /// Killed after a checkpoint and resumed, with another number of threads: what is drawn follows from the step alone.
    [Theory, MemberData(nameof(Optimizers))]
    public void ResumesToTheSameBits(string optimizer, double clip)
    {
        var settings = Small(9, optimizer, clip);
        string folder = Directory.CreateTempSubdirectory().FullName, half = Path.Combine(folder, "half"), end = Path.Combine(folder, "end");
        using (var device = Cpu.Create(2))
        using (var training = Training.Start(settings, Faces, device))
        {
            training.Advance(4);
            training.Save(half);
            training.Advance(6);
        }
        using (var device = Cpu.Create(1))
        using (var resumed = Training.Resume(half, Faces, device))
        {
            resumed.Advance(9);
            resumed.Save(end);
        }
        Assert.Equal(Trained(settings, Cpu.Create(1), 9).State, Read(end));
    }

    /// The loss falls, over all identities too: photographs of one person are nearer to each other than to others'.
    [Theory, InlineData(0), InlineData(5)]
    public void Learns(double clip)
    {
        using var device = Cpu.Create(2);
        using var training = Training.Start(Small(250, clip: clip, rate: 0.05), Faces, device);
        training.Advance(250);
        Assert.True(training.Loss < 0.6 * training.FirstLoss, $"loss went from {training.FirstLoss} to {training.Loss}");
        var embeddings = Embedder.Embed(training.Backbone, Faces).Chunk(32).ToArray();
        double same = Mean((a, b) => Faces.Labels[a] == Faces.Labels[b]), other = Mean((a, b) => Faces.Labels[a] != Faces.Labels[b]);
        Assert.True(same > other + 0.3, $"mean cosine {same} within a person, {other} between two");

        double Mean(Func<int, int, bool> counts) => Enumerable.Range(0, embeddings.Length)
            .SelectMany(a => Enumerable.Range(0, a).Where(b => counts(a, b)).Select(b => embeddings[a].Zip(embeddings[b], (x, y) => (double)x * y).Sum())).Average();
    }

    [Theory, MemberData(nameof(Optimizers))]
    public void OnAGpuItIsThatOfTheCpu(string optimizer, double clip)
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        var settings = Small(8, optimizer, clip, rate: 0.0003);
        double loss = Trained(settings, Cpu.Create(2), 8).Loss, there = Trained(settings, TestDevice.Open(TestDevice.Simulated, 0), 8).Loss;
        Assert.InRange(there / loss, 1 - 1e-5, 1 + 1e-5);
        // In bf16 a logit is off by at most the scale times 2⁻⁸. After eight steps, but not yet after four, networks are apart by more.
        double fourth = Trained(settings, Cpu.Create(2), 4).Loss;
        Assert.InRange(Trained(settings, TestDevice.OpenBf16(), 4).Loss, fourth - 0.06, fourth + 0.06);
    }

    /// Ten million identities and a tenth of them in a step: the work of a million; memory for centres and velocities, and with clipping the gradient of those that are drawn.
    [Fact]
    public void ThePlanKnowsTheDraw()
    {
        Settings Large(double sample, double clip) => new()
        {
            Data = new() { Size = 112 }, Net = new() { Kind = "mobilefacenet", Embedding = 512 }, Head = new() { Sample = sample },
            Train = new() { Batch = 128, Clip = clip, Budget = 1e6 },
        };
        TrainingPlan some = TrainingPlan.Of(Large(0.1, 0), 10_000_000), clipped = TrainingPlan.Of(Large(0.1, 5), 10_000_000), million = TrainingPlan.Of(Large(1, 0), 1_000_000);
        Assert.Equal(million.StepWork, some.StepWork, 1e-9 * some.StepWork);
        const double centres = 4.0 * 512 * 10_000_000 / (1 << 20);
        double rest = million.MemoryMiB - 2 * centres / 10;
        Assert.InRange(some.MemoryMiB, 2 * centres + rest - centres / 20, 1.2 * (2 * centres + rest));
        Assert.InRange(clipped.MemoryMiB - some.MemoryMiB, 0.8 * centres / 10, 1.2 * centres / 10);
    }
}
