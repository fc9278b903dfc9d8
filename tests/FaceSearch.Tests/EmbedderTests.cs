using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

public class EmbedderTests
{
    // More than one batch of 64, and a ragged last one.
    static readonly FaceSet Faces = Synth.Generate(12, 6, 16, 2, seed: 3);

    static Backbone Net(Device device) => Backbone.Create(device, new() { Embedding = 24 }, 16, 1);

    [Fact]
    public void EveryRowHasLengthOneAndDependsOnItsFaceAlone()
    {
        using var device = Cpu.Create(2);
        using var net = Net(device);
        var all = Embedder.Embed(net, Faces);
        Assert.True(Faces.Count > 64);
        Assert.All(all.Chunk(24), row => Assert.Equal(1, Math.Sqrt(row.Sum(v => (double)v * v)), 5));
        int[] some = [Faces.Count - 1, 3, 3];
        var few = Embedder.Embed(net, Faces.Subset(some, [0, 0, 0], ["x"]));
        Assert.Equal(some.SelectMany(i => all[(24 * i)..(24 * i + 24)]), few);
    }

    /// <summary>By way of bytes a map has the bits that it has by way of values, odd sizes and the lanes past the third channel included.</summary>
    [Theory, EveryDevice]
    public void PhotographsAreTheValuesOfTheirBytes(string name, int threads)
    {
        using var device = TestDevice.Open(name, threads);
        foreach (var (images, side) in new[] { (1, 1), (3, 5), (2, 16) })
        {
            var shape = Shape.Map(images, 3, side, side);
            byte[] bytes = [.. Enumerable.Range(0, (int)shape.Count).Select(i => (byte)Noise.Bits(1, 2, (ulong)i))];
            var values = new float[bytes.Length];
            for (int i = 0; i < bytes.Length; i++) values[(i / 3 / (side * side) * 3 + i % 3) * side * side + i / 3 % (side * side)] = Batches.ByteValues[bytes[i]];
            using var tape = new Tape(device);
            var x = tape.Input(shape, bytes, Batches.ByteValues);
            Assert.Equal(values, x.ToArray());
            if (device is Gpu) Assert.True(Ops.Padding.IsZero(x));
        }
    }

    /// <summary>As on the CPU, in other batches.</summary>
    [Fact]
    public void AGpuEmbedsAsTheCpuDoes()
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        using Device cpu = Cpu.Create(), gpu = TestDevice.Open(TestDevice.Simulated, 0);
        using Backbone expected = Net(cpu), actual = Net(gpu);
        Expect.Close(Embedder.Embed(expected, Faces), Embedder.Embed(actual, Faces), 1e-5, "embeddings");
    }

    [Fact]
    public void AddFlipDoesNotTellAFaceFromItsMirrorImage()
    {
        using var device = Cpu.Create();
        using var net = Net(device);
        int side = Faces.Side;
        var mirrored = new FaceSet
        {
            Side = side,
            Images = Array.ConvertAll(Faces.Images, image => Enumerable.Range(0, side).SelectMany(y =>
                Enumerable.Range(0, side).SelectMany(x => image.AsSpan(((y + 1) * side - 1 - x) * 3, 3).ToArray())).ToArray()),
            Labels = Faces.Labels,
            IdentityNames = Faces.IdentityNames,
            Sources = Faces.Sources,
        };
        Assert.Equal(Embedder.Embed(net, Faces), Embedder.Embed(net, mirrored));
        Assert.NotEqual(Embedder.Embed(net, Faces, addFlip: false), Embedder.Embed(net, mirrored, addFlip: false));
    }

    [Fact]
    public void ATrainedNetworkTellsMorePairsThanAnUntrainedOne()
    {
        var faces = Synth.Generate(40, 8, 32, 2, seed: 5);
        var train = faces.Subset([.. Enumerable.Range(0, faces.Count).Where(i => faces.Labels[i] < 28)]);
        var held = faces.Subset([.. Enumerable.Range(0, faces.Count).Where(i => faces.Labels[i] >= 28)]);
        var pairs = new PairSet(held, [.. from a in Enumerable.Range(0, held.Count)
                                          from b in Enumerable.Range(a + 1, held.Count - a - 1)
                                          where held.Labels[a] == held.Labels[b] || (a * 31 + b) % 11 == 0
                                          select new Pair(a, b, held.Labels[a] == held.Labels[b], 0)]);
        using var device = Cpu.Create(2);
        var settings = new Settings
        {
            Data = new() { Size = 32, Margin = 2 },
            Net = new() { Width = 0.5, Embedding = 32 },
            Head = new() { TrueScale = 16, FalseScale = 16, M2 = 0 },
            Train = new() { Batch = 32, Budget = 0.06 },
        };
        using var training = Training.Start(settings, train, device);
        double before = Evaluation.Verify(training.Backbone, pairs).Auc;
        training.Advance(training.Steps);
        double after = Evaluation.Verify(training.Backbone, pairs).Auc;
        Assert.True(after > before + 0.05, $"area under the curve {before:F3} before, {after:F3} after {training.Steps} steps");
    }
}
