using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>Expanding, depthwise and projecting convolutions with their norms at inference.</summary>
public class InvertedResidualTests
{
    // images, channels, height, width; hidden, outputs, kernel, stride, padding: several bands, odd sides, widths of one, channels that fill no block, kernels without a fused form.
    static readonly (int[] Map, int Hidden, int Outputs, int Kernel, int Stride, int Padding)[] shapes =
    [
        ([1, 1, 1, 1], 1, 1, 3, 1, 1), ([2, 17, 7, 7], 33, 19, 3, 1, 1), ([3, 32, 14, 14], 64, 32, 3, 2, 1), ([2, 20, 13, 29], 40, 17, 3, 2, 1), ([1, 20, 9, 1], 40, 20, 3, 1, 1), ([1, 16, 1, 9], 18, 7, 3, 2, 1),
        ([2, 16, 31, 40], 144, 16, 3, 1, 1), ([1, 24, 38, 31], 144, 20, 3, 2, 1), ([1, 8, 2, 130], 1040, 5, 3, 1, 1), ([2, 12, 9, 8], 18, 5, 5, 2, 2),
    ];

    static IEnumerable<(int Shape, bool Deferred, bool Activated, bool Added)> Cases() =>
        from shape in Enumerable.Range(0, shapes.Length) from deferred in new[] { false, true } from activated in new[] { false, true } from added in new[] { false, true } select (shape, deferred, activated, added);

    static float[] Run(Device device, (int Shape, bool Deferred, bool Activated, bool Added) of)
    {
        var (map, hidden, outputs, kernel, stride, padding) = shapes[of.Shape];
        Shape x = Shape.Map(map[0], map[1], map[2], map[3]), y = Shape.Map(map[0], outputs, (map[2] + 2 * padding - kernel) / stride + 1, (map[3] + 2 * padding - kernel) / stride + 1);
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var input = tape.Input(x, Expect.Normal(x, 0));
        if (of.Deferred) input = operands.Deferred(input, 40, activated: true);
        NormedWeight Layer(Shape shape, int seed, bool activated) => new(operands.Make(shape, seed), operands.Norm(shape[0], seed + 10, activated));
        return input.InvertedResidual(Layer(Shape.Of(hidden, map[1], 1, 1), 1, of.Activated), Layer(Shape.Of(hidden, 1, kernel, kernel), 2, activated: true), stride, padding,
            Layer(Shape.Of(outputs, hidden, 1, 1), 3, of.Activated), of.Added ? tape.Input(y, Expect.Normal(y, 5)) : null).ToArray();
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Inferred.SameAsReference(device, Run, Cases(), of => shapes[of.Shape].Map[1] + shapes[of.Shape].Hidden + shapes[of.Shape].Kernel * shapes[of.Shape].Kernel);
    }

    [Fact]
    public void ThreadsDoNotChangeABit() => Inferred.ThreadsDoNotChangeABit(Run, Cases());

    /// The fused op is what networks run: without it the sums of the wide maps would be kept.
    [Fact]
    public void TheWideMapsAreNotInMemory()
    {
        using var device = Cpu.Create();
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var x = tape.Input(Shape.Map(8, 16, 32, 32), new float[8 * 16 * 32 * 32]);
        long before = device.LiveBytes;
        NormedWeight Layer(Shape shape, int seed) => new(operands.Make(shape, seed), operands.Norm(shape[0], seed + 10, activated: true));
        NormedWeight expand = Layer(Shape.Of(96, 16, 1, 1), 1), depthwise = Layer(Shape.Of(96, 1, 3, 3), 2), project = Layer(Shape.Of(16, 96, 1, 1), 3);
        device.ResetPeak();
        x.InvertedResidual(expand, depthwise, 1, 1, project);
        Assert.InRange(device.PeakBytes - before, 1, 4 * x.Shape.Count * 3);
    }

    [Theory]
    [InlineData(2, 3, 2, 2, "weight")]
    [InlineData(2, 2, 3, 2, "depthwise")]
    [InlineData(2, 2, 2, 3, "project")]
    public void NamesWhatIsWrong(int wide, int inputs, int kernels, int projected, string named)
    {
        using var device = Cpu.Create();
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        NormedWeight Layer(Shape shape) => new(operands.Make(shape, 1), operands.Norm(shape[0], 2, activated: true));
        var x = tape.Input(Shape.Map(1, 2, 1, 1), [1, 1]);
        var error = Assert.Throws<ShapeException>(() => x.InvertedResidual(Layer(Shape.Of(wide, inputs, 1, 1)), Layer(Shape.Of(kernels, 1, 3, 3)), 1, 1, Layer(Shape.Of(4, projected, 1, 1))));
        Assert.Contains(named, error.Message);
    }
}
