using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A convolution with all that follows it at inference.</summary>
public class Conv2dFusedTests
{
    // images, channels, height, width; outputs, kernel; stride, padding, groups.
    static readonly (int[] Map, int[] Kernel, int Stride, int Padding, int Groups)[] shapes =
    [
        ([1, 1, 1, 1], [1, 1], 1, 0, 1), ([2, 40, 7, 7], [17, 1], 1, 0, 1), ([3, 64, 14, 14], [33, 1], 1, 0, 1), ([1, 16, 13, 29], [70, 1], 2, 0, 1), ([2, 24, 5, 5], [48, 1], 1, 0, 3),
        ([2, 17, 13, 29], [33, 3], 2, 1, 1), ([2, 32, 7, 7], [64, 3], 1, 1, 2), ([5, 16, 7, 7], [17, 3], 1, 1, 1),
        ([5, 16, 7, 7], [16, 3], 2, 1, 16), ([1, 33, 14, 15], [33, 3], 1, 1, 33), ([3, 17, 1, 1], [17, 3], 1, 1, 17), ([2, 33, 3, 2], [33, 3], 2, 1, 33), ([2, 40, 7, 7], [40, 7], 1, 0, 40),
    ];

    enum Added { Nothing, Map, DeferredMap }

    static IEnumerable<(int Shape, bool Activated, Added Added)> Cases() =>
        from shape in Enumerable.Range(0, shapes.Length) from activated in new[] { false, true } from added in Enum.GetValues<Added>() select (shape, activated, added);

    static float[] Run(Device device, (int Shape, bool Activated, Added Added) of)
    {
        var (map, kernel, stride, padding, groups) = shapes[of.Shape];
        Shape x = Shape.Map(map[0], map[1], map[2], map[3]), weight = Shape.Of(kernel[0], map[1] / groups, kernel[1], kernel[1]);
        Shape y = Shape.Map(map[0], kernel[0], (map[2] + 2 * padding - kernel[1]) / stride + 1, (map[3] + 2 * padding - kernel[1]) / stride + 1);
        using var operands = new Inferred(device);
        using var tape = new Tape(device, record: false);
        var residual = of.Added == Added.Nothing ? null : tape.Input(y, Expect.Normal(y, 5));
        if (of.Added == Added.DeferredMap) residual = operands.Deferred(residual!, 20, activated: false);
        // The input is deferred as well, as it is in networks.
        return operands.Deferred(tape.Input(x, Expect.Normal(x, 0)), 30, activated: false)
            .Conv2dFused(operands.Make(weight, 1), stride, padding, groups, operands.Norm(kernel[0], 10, of.Activated), residual).ToArray();
    }

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        Inferred.SameAsReference(device, Run, Cases(), of => shapes[of.Shape].Map[1] / shapes[of.Shape].Groups * shapes[of.Shape].Kernel[1] * shapes[of.Shape].Kernel[1]);
    }

    [Fact]
    public void ThreadsDoNotChangeABit() => Inferred.ThreadsDoNotChangeABit(Run, Cases());

    [Fact]
    public void ATapeThatRecordsIsRefused()
    {
        using var device = Cpu.Create();
        using var tape = new Tape(device);
        using Tensor weight = device.From(Shape.Of(1, 1, 1, 1), [1]), vector = device.From(Shape.Of(1), [1]);
        var error = Assert.Throws<ShapeException>(() => tape.Input(Shape.Map(1, 1, 1, 1), [1]).Conv2dFused(weight, 1, 0, 1, new(vector, vector, vector, vector)));
        Assert.Contains("records", error.Message);
    }
}
