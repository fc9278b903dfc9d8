using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A dense convolution, a depthwise one and a projecting one or none, with their norms, at inference.</summary>
public class InvertedResidualTests
{
    // images, channels, height, width; kernel, stride, padding; channels between; kernel, stride, padding; outputs (0: no project).
    // Several bands, odd sides, widths of one, channels that fill no block, first convolutions with a border, kernels without a fused form.
    static readonly (int[] Map, int[] Expand, int Wide, int[] Depthwise, int Outputs)[] shapes =
    [
        ([1, 1, 1, 1], [1, 1, 0], 1, [3, 1, 1], 1), ([2, 17, 7, 7], [1, 1, 0], 33, [3, 1, 1], 19), ([3, 32, 14, 14], [1, 1, 0], 64, [3, 2, 1], 32), ([2, 20, 13, 29], [1, 1, 0], 40, [3, 2, 1], 17),
        ([1, 20, 9, 1], [1, 1, 0], 40, [3, 1, 1], 20), ([1, 16, 1, 9], [1, 1, 0], 18, [3, 2, 1], 7), ([2, 16, 31, 40], [1, 1, 0], 144, [3, 1, 1], 16), ([1, 24, 38, 31], [1, 1, 0], 144, [3, 2, 1], 20),
        ([1, 8, 2, 130], [1, 1, 0], 1040, [3, 1, 1], 5), ([2, 12, 9, 8], [1, 1, 0], 18, [5, 2, 2], 5), ([2, 3, 31, 33], [3, 2, 1], 20, [3, 1, 1], 0), ([1, 3, 62, 40], [3, 1, 1], 130, [3, 2, 1], 0),
        ([2, 12, 10, 9], [3, 2, 1], 17, [3, 1, 1], 24), ([2, 17, 7, 7], [3, 1, 1], 16, [3, 1, 1], 0), ([2, 9, 7, 7], [1, 1, 0], 40, [7, 1, 0], 0),
    ];

    static IEnumerable<(int Shape, bool Deferred, bool Activated, bool Added)> Cases() =>
        from shape in Enumerable.Range(0, shapes.Length) from deferred in new[] { false, true } from activated in new[] { false, true } from added in new[] { false, true } select (shape, deferred, activated, added);

    static int Side(int side, int[] window) => (side + 2 * window[2] - window[0]) / window[1] + 1;

    static float[] Run(Device device, (int Shape, bool Deferred, bool Activated, bool Added) of)
    {
        var (map, expand, wide, depthwise, outputs) = shapes[of.Shape];
        Shape x = Shape.Map(map[0], map[1], map[2], map[3]), y = Shape.Map(map[0], outputs == 0 ? wide : outputs, Side(Side(map[2], expand), depthwise), Side(Side(map[3], expand), depthwise));
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var input = tape.Input(x, Expect.Normal(x, 0));
        if (of.Deferred) input = operands.Deferred(input, 40, activated: true);
        NormedConv Layer(int outs, int ins, int[] window, int seed, bool activated) =>
            new(operands.Make(Shape.Of(outs, ins, window[0], window[0]), seed), operands.Norm(outs, seed + 10, activated), window[1], window[2]);
        return input.InvertedResidual(Layer(wide, map[1], expand, 1, of.Activated), Layer(wide, 1, depthwise, 2, activated: true), outputs == 0 ? null : Layer(outputs, wide, [1, 1, 0], 3, of.Activated),
            of.Added ? tape.Input(y, Expect.Normal(y, 5)) : null).ToArray();
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Inferred.SameAsReference(device, Run, Cases(), of =>
        {
            var (map, expand, wide, depthwise, _) = shapes[of.Shape];
            return map[1] * expand[0] * expand[0] + depthwise[0] * depthwise[0] + wide;
        });
    }

    [Fact]
    public void ThreadsDoNotChangeABit() => Inferred.ThreadsDoNotChangeABit(Run, Cases());

    /// Else the sums between would be.
    [Theory, InlineData(true), InlineData(false)]
    public void TheWideMapIsNotInMemory(bool projects)
    {
        using var device = Cpu.Create();
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var x = tape.Input(Shape.Map(8, 16, 32, 32), new float[8 * 16 * 32 * 32]);
        NormedConv Layer(Shape shape, int seed, int stride = 1, int padding = 0) => new(operands.Make(shape, seed), operands.Norm(shape[0], seed + 10, activated: true), stride, padding);
        NormedConv expand = Layer(Shape.Of(96, 16, 1, 1), 1), depthwise = Layer(Shape.Of(96, 1, 3, 3), 2, stride: 2, padding: 1), project = Layer(Shape.Of(16, 96, 1, 1), 3);
        long before = device.LiveBytes;
        device.ResetPeak();
        var y = x.InvertedResidual(expand, depthwise, projects ? project : null);
        // Beside y: packed weights, and norms.
        Assert.InRange(device.PeakBytes - before, 4 * y.Shape.Count, 4 * y.Shape.Count + (1 << 16));
    }

    [Theory]
    [InlineData(2, 3, 2, 3, 2, "weight")]
    [InlineData(2, 2, 3, 3, 2, "depthwise")]
    [InlineData(2, 2, 2, 5, 2, "kernel of depthwise")]
    [InlineData(2, 2, 2, 3, 3, "project")]
    public void NamesWhatIsWrong(int wide, int inputs, int kernels, int side, int projected, string named)
    {
        using var device = Cpu.Create();
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        NormedConv Layer(Shape shape, int padding = 0) => new(operands.Make(shape, 1), operands.Norm(shape[0], 2, activated: true), Padding: padding);
        var x = tape.Input(Shape.Map(1, 2, 1, 1), [1, 1]);
        var error = Assert.Throws<ShapeException>(() => x.InvertedResidual(Layer(Shape.Of(wide, inputs, 1, 1)), Layer(Shape.Of(kernels, 1, side, side), padding: 1), Layer(Shape.Of(4, projected, 1, 1))));
        Assert.Contains(named, error.Message);
    }

    [Fact]
    public void ATapeThatRecordsIsRefused()
    {
        using var device = Cpu.Create();
        using var operands = new Inferred(device);
        using var tape = new Tape(device);
        NormedConv layer = new(operands.Make(Shape.Of(1, 1, 1, 1), 1), operands.Norm(1, 2, activated: false));
        var error = Assert.Throws<ShapeException>(() => tape.Input(Shape.Map(1, 1, 1, 1), [1]).InvertedResidual(layer, layer, null));
        Assert.Contains("records", error.Message);
    }
}
