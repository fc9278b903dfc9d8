using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>A map of three channels that stays as the host wrote it: every op makes of it what it makes of the same map in the device's own layout, bit by bit.</summary>
public class FlatTests
{
    static readonly Shape[] maps = [Shape.Map(1, 3, 1, 1), Shape.Map(5, 3, 5, 7), Shape.Map(2, 3, 13, 29), Shape.Map(3, 3, 16, 16), Shape.Map(1, 3, 60, 41)];

    static IEnumerable<(string Name, Func<Tensor, Inferred, Tensor> Op)> Readers()
    {
        static Func<Tensor, Inferred, Tensor> Convolution(int outputs, int kernel, int stride, int padding, int groups = 1) =>
            (x, operands) => x.Conv2d(operands.Make(Shape.Of(outputs, 3 / groups, kernel, kernel), 1), stride, padding, groups);
        yield return ("3×3", Convolution(17, 3, 1, 1));
        yield return ("3×3 of step 2", Convolution(64, 3, 2, 1));
        yield return ("1×1", Convolution(5, 1, 1, 0));
        yield return ("1×1 of step 2", Convolution(33, 1, 2, 0));
        yield return ("7×7 of step 3", Convolution(20, 7, 3, 3));
        yield return ("depthwise", Convolution(3, 3, 1, 1, groups: 3));
        yield return ("in groups", Convolution(6, 3, 2, 1, groups: 3));
        yield return ("sum", (x, operands) => x.Add(operands.Make(x.Shape, 1)));
        yield return ("sum on the right", (x, operands) => operands.Deferred(x.Tape!.Input(operands.Make(x.Shape, 1)), 20, activated: false).Add(x));
        yield return ("of two readers", (x, operands) => x.Conv2d(operands.Make(Shape.Of(3, 3, 3, 3), 1), padding: 1).Add(x));
        yield return ("norm", (x, operands) => operands.Deferred(x, 20, activated: true));
        yield return ("PReLU", (x, operands) => x.PRelu(operands.Make(Shape.Of(3), 1)));
        yield return ("flattened", (x, _) => x.Flatten());
        yield return ("average", (x, _) => x.GlobalAveragePool());
        yield return ("itself", (x, _) => x);
        yield return ("fused", (x, operands) => x.Conv2dFused(operands.Make(Shape.Of(18, 3, 3, 3), 1), 2, 1, 1, operands.Norm(18, 20, activated: true)));
        yield return ("fused depthwise", (x, operands) => x.Conv2dFused(operands.Make(Shape.Of(3, 1, 3, 3), 1), 1, 1, 3, operands.Norm(3, 20, activated: true)));
        yield return ("separable", (x, operands) => x.SeparableConv2d(operands.Make(Shape.Of(3, 1, 3, 3), 1), 1, 1, operands.Norm(3, 20, activated: true), operands.Make(Shape.Of(18, 3, 1, 1), 2), operands.Norm(18, 30, activated: false)));
        yield return ("inverted residual", (x, operands) => x.InvertedResidual(new(operands.Make(Shape.Of(18, 3, 3, 3), 1), operands.Norm(18, 20, activated: true), 2, 1),
            new(operands.Make(Shape.Of(18, 1, 3, 3), 2), operands.Norm(18, 30, activated: true), 1, 1), null));
    }

    [Theory, EveryDevice(Gpu = false)]
    public void EveryReaderMakesTheSameOfIt(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var map in maps)
            foreach (var (name, op) in Readers())
            {
                var values = Expect.Normal(map, 0);
                float[] Of(Func<Tape, Tensor> input)
                {
                    using var operands = new Inferred(device);
                    using var tape = new Tape(device, record: false);
                    return op(input(tape), operands).ToArray();
                }
                using var plain = device.From(map, values);
                Assert.Null(plain.Flat);
                var expected = Of(tape => tape.Input(plain));
                Assert.True(expected.AsSpan().SequenceEqual(Of(tape =>
                {
                    var x = tape.Input(map, values);
                    Assert.NotNull(x.Flat);
                    return x;
                })), $"{name} of {map}");
                // As a training has them: one that lasts, and another tape's for each step.
                using var lasting = device.NewInput(map);
                device.Write(lasting, values);
                for (int step = 0; step < 2; step++) Assert.True(expected.AsSpan().SequenceEqual(Of(tape => tape.Input(lasting))), $"{name} of {map} that lasts");
            }
        Assert.Equal(0, device.LiveBytes);
    }

    [Theory, EveryDevice(Gpu = false)]
    public void WeightGradientsAreTheSame(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var map in maps)
            foreach (var (kernel, stride, groups) in new[] { (3, 1, 1), (3, 2, 1), (1, 2, 1), (3, 2, 3) })
            {
                var values = Expect.Normal(map, 0);
                var weight = Shape.Of(33, 3 / groups, kernel, kernel);
                float[] Of(Func<Tape, Tensor> input) => Expect.Run(device, w => input(w[0].Tape!).Conv2d(w[0], stride, kernel / 2, groups), [weight], [Expect.Normal(weight, 1)])[1];
                using var plain = device.From(map, values);
                Assert.Equal(Of(tape => tape.Input(plain)), Of(tape => tape.Input(map, values)));
            }
    }

    [Fact]
    public void ItTakesTheMemoryOfItsValues()
    {
        using var device = Cpu.Create();
        var map = Shape.Map(4, 3, 32, 32);
        using (device.NewInput(map)) Assert.Equal(4 * map.Count, device.LiveBytes);
        using (device.New(map)) Assert.Equal(4 * map.Count / 3 * 16, device.LiveBytes);
    }
}
