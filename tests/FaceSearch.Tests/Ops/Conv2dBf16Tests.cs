using FaceSearch.Tensors;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>
/// Convolutions on emulated tensor cores: those of the operands rounded to bf16, to the precision of float sums (2⁻²¹ of the
/// sum of the terms' sizes); maps lie in memory as bf16, so results are rounded once more, by up to 2⁻⁸ of themselves.
/// </summary>
public class Conv2dBf16Tests
{
    /// Images, channels, height, width, outputs, kernel height and width, stride, padding, groups.
    public static TheoryData<int[]> Convolutions => new(
    [
        [2, 3, 9, 7, 5, 3, 3, 1, 1, 1], [1, 16, 14, 13, 130, 3, 3, 2, 1, 1], [3, 24, 6, 5, 17, 1, 1, 1, 0, 1], [2, 8, 11, 9, 9, 5, 3, 3, 2, 1], [1, 40, 7, 7, 8, 7, 7, 1, 0, 1],
        [2, 20, 30, 31, 70, 3, 3, 1, 1, 1], [2, 5, 9, 7, 5, 3, 3, 1, 1, 5], [1, 70, 8, 9, 70, 3, 3, 2, 1, 70], [3, 24, 7, 7, 24, 7, 7, 1, 0, 24], [2, 12, 40, 26, 12, 5, 3, 3, 2, 12],
    ]);

    [Theory, MemberData(nameof(Convolutions))]
    public void IsTheConvolutionOfTheRoundedOperands(int[] s) => Check(s, false);

    /// On compute capability 9.0, by its own instructions where enough channels meet.
    public static TheoryData<int[]> Wide => new(
        [[2, 64, 9, 7, 130, 3, 3, 1, 1, 1], [1, 90, 10, 9, 65, 3, 3, 2, 1, 1], [2, 20, 7, 7, 70, 3, 3, 1, 1, 1], [3, 128, 6, 6, 64, 1, 1, 1, 0, 1], [1, 70, 8, 9, 70, 3, 3, 2, 1, 70]]);

    [Theory, MemberData(nameof(Wide))]
    public void HopperHasTheSameConvolutions(int[] s) => Check(s, true);

    static void Check(int[] s, bool hopper)
    {
        using var reference = new Reference();
        using var device = TestDevice.OpenBf16(hopper);
        var sliding = new Sliding(s[7], s[8], s[9]);
        Shape x = Shape.Map(s[0], s[1], s[2], s[3]), weight = Shape.Of(s[4], s[1] / s[9], s[5], s[6]);
        Shape y = Shape.Map(s[0], s[4], sliding.Outputs(s[2], s[5]), sliding.Outputs(s[3], s[6]));
        float[] ofX = Expect.Normal(x, 0), ofWeight = Expect.Normal(weight, 1), ofDy = Expect.Normal(y, 2);
        Compare("y", true, y, (x, ofX), (weight, ofWeight), (d, a, b, c) => d.Conv2d(a, b, c, sliding, null));
        Compare("dx", true, x, (y, ofDy), (weight, ofWeight), (d, a, b, c) => d.Conv2dData(a, b, c, sliding));
        Compare("dweight", false, weight, (x, ofX), (y, ofDy), (d, a, b, c) => d.Conv2dWeight(a, b, c, sliding));

        void Compare(string name, bool isMap, Shape result, (Shape Shape, float[] Values) left, (Shape Shape, float[] Values) right, Action<Device, Tensor, Tensor, Tensor> op)
        {
            float[] Run(Device on, Func<float, float> prepare)
            {
                using Tensor a = on.From(left.Shape, [.. left.Values.Select(prepare)]), b = on.From(right.Shape, [.. right.Values.Select(prepare)]), c = on.New(result);
                op(on, a, b, c);
                return c.ToArray();
            }
            float[] actual = Run(device, v => v), expected = Run(reference, Bf16.Rounded), sizes = Run(reference, v => Math.Abs(Bf16.Rounded(v)));
            for (int i = 0; i < actual.Length; i++)
            {
                double bound = sizes[i] / (1 << 21) + (isMap ? Math.Abs(expected[i]) / 256 : 0) + 1e-30;
                Assert.True(Math.Abs(actual[i] - expected[i]) <= bound, $"{name} of {x} by {weight}, {sliding}: element {i} is {actual[i]:R}, expected {expected[i]:R} ± {bound:E1}");
            }
        }
    }

    /// The norm before is applied on the way in, the one after takes the moments that the convolution leaves. Operands have two roundings each
    /// of 2⁻⁹, results one: 2⁻⁷ of the length bears them with what a norm makes of them.
    [Theory, InlineData(12, 1, 3, false), InlineData(12, 12, 3, false), InlineData(12, 2, 3, false), InlineData(64, 1, 3, true), InlineData(88, 1, 1, true)]
    public void NormsAroundAConvolutionMatchReference(int channels, int groups, int side, bool hopper)
    {
        using var reference = new Reference();
        using var device = TestDevice.OpenBf16(hopper);
        Shape[] shapes = [Shape.Map(4, channels, 9, 8), Shape.Of(channels, channels / groups, side, side), Shape.Of(channels), Shape.Of(channels), Shape.Of(channels)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        // Away from the kink of the rectifier, where a rounding decides which slope counts: one value in 3456 would show.
        values[0] = [.. values[0].Select(v => Bf16.Rounded(v + MathF.CopySign(1, v)))];
        values[3] = [.. values[3].Select(v => 0.01f * v)];
        float[][] expected = Run(reference), actual = Run(device);
        for (int i = 0; i < expected.Length; i++)
        {
            double error = expected[i].Zip(actual[i], (e, a) => Math.Pow(e - a, 2)).Sum(), length = expected[i].Sum(e => Math.Pow(e, 2));
            Assert.True(Math.Sqrt(error / length) <= Math.Pow(2, -7), $"{(i == 0 ? "result" : $"gradient {i - 1}")}: relative error {Math.Sqrt(error / length):E1}");
        }

        float[][] Run(Device on)
        {
            using Tensor mean = on.Parameter("", shapes[2], frozen: true), variance = on.Parameter("", shapes[2], frozen: true);
            Tensor Norm(Tensor x, Tensor[] p, Tensor? slope) => x.BatchNorm(p[2], p[3], mean, variance, training: true, slope);
            return Expect.Run(on, x => Norm(Norm(x[0], x, x[4]).Conv2d(x[1], padding: side / 2, groups: groups), x, null), shapes, values);
        }
    }

    [Fact]
    public void TheSameInputsGiveTheSameBits()
    {
        Shape[] shapes = [Shape.Map(3, 20, 9, 9), Shape.Of(33, 20, 3, 3)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        float[][] Run()
        {
            using var device = TestDevice.OpenBf16();
            return Expect.Run(device, x => x[0].Conv2d(x[1], padding: 1), shapes, values);
        }
        float[][] first = Run(), second = Run();
        for (int i = 0; i < 3; i++) Assert.Equal(first[i], second[i]);
    }
}
