using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A depthwise and a pointwise convolution with their norms at inference.</summary>
public class SeparableConv2dTests
{
    // images, channels, height, width; outputs, kernel, stride, padding: bands that end within a map, odd maps, channels and outputs that fill no block, kernels without a fused form.
    static readonly (int[] Map, int Outputs, int Kernel, int Stride, int Padding)[] shapes =
    [
        ([1, 1, 1, 1], 1, 3, 1, 1), ([2, 17, 7, 7], 33, 3, 1, 1), ([3, 64, 14, 14], 32, 3, 2, 1), ([2, 33, 13, 29], 17, 3, 2, 1), ([1, 20, 9, 1], 40, 3, 1, 1),
        ([2, 128, 57, 30], 16, 3, 1, 1), ([1, 144, 60, 58], 20, 3, 2, 1), ([2, 40, 7, 7], 24, 7, 1, 0), ([2, 18, 9, 8], 5, 5, 1, 2),
    ];

    static IEnumerable<(int Shape, bool Deferred, bool Activated, bool Added)> Cases() =>
        from shape in Enumerable.Range(0, shapes.Length) from deferred in new[] { false, true } from activated in new[] { false, true } from added in new[] { false, true } select (shape, deferred, activated, added);

    static float[] Run(Device device, (int Shape, bool Deferred, bool Activated, bool Added) of)
    {
        var (map, outputs, kernel, stride, padding) = shapes[of.Shape];
        int channels = map[1];
        Shape x = Shape.Map(map[0], channels, map[2], map[3]), y = Shape.Map(map[0], outputs, (map[2] + 2 * padding - kernel) / stride + 1, (map[3] + 2 * padding - kernel) / stride + 1);
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var input = tape.Input(x, Expect.Normal(x, 0));
        if (of.Deferred) input = operands.Deferred(input, 30, activated: true);
        return input.SeparableConv2d(operands.Make(Shape.Of(channels, 1, kernel, kernel), 1), stride, padding, operands.Norm(channels, 10, activated: true),
            operands.Make(Shape.Of(outputs, channels, 1, 1), 2), operands.Norm(outputs, 20, of.Activated), of.Added ? tape.Input(y, Expect.Normal(y, 5)) : null).ToArray();
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Inferred.SameAsReference(device, Run, Cases(), of => shapes[of.Shape].Map[1] + shapes[of.Shape].Kernel * shapes[of.Shape].Kernel);
    }

    [Fact]
    public void ThreadsDoNotChangeABit() => Inferred.ThreadsDoNotChangeABit(Run, Cases());

    [Fact]
    public void AnImageDoesNotDependOnItsBatch()
    {
        using var device = Cpu.Create(3);
        using var net = Backbone.Create(device, new() { Kind = "mobilefacenet", Width = 0.5, Depth = 0.5, Embedding = 24 }, 48, seed: 5);
        var shape = Shape.Map(5, 3, 48, 48);
        float[] images = Expect.Normal(shape, 1);
        float[] Embed(int first, int count)
        {
            using var tape = new Tape(device, record: false);
            return net.Forward(tape.Input(Shape.Map(count, 3, 48, 48), images.AsSpan(first * 3 * 48 * 48, count * 3 * 48 * 48)), Pass.Inference).ToArray();
        }
        float[] all = Embed(0, 5);
        for (int i = 0; i < 5; i++) Assert.Equal(all[(24 * i)..(24 * i + 24)], Embed(i, 1));
    }

    [Fact]
    public void NamesWhatIsWrong()
    {
        using var device = Cpu.Create();
        using Tensor weight = device.From(Shape.Of(2, 1, 1, 1), [1, 1]), wide = device.From(Shape.Of(1, 3, 1, 1), [1, 1, 1]), vector = device.From(Shape.Of(2), [1, 1]);
        using var tape = new Tape(device, record: false);
        var x = tape.Input(Shape.Map(1, 2, 1, 1), [1, 1]);
        var norm = new FrozenNorm(vector, vector, vector, vector);
        Assert.Contains("pointwise", Assert.Throws<ShapeException>(() => x.SeparableConv2d(weight, 1, 0, norm, wide, norm)).Message);
    }
}
