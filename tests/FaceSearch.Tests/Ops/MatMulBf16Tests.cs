using FaceSearch.Tensors;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>Products and linear layers on emulated tensor cores: those of the operands rounded to bf16, to the precision of float sums.</summary>
public class MatMulBf16Tests
{
    // Ragged tiles of 128, a pitch that is no multiple of eight, depths of one slice and of several.
    static readonly (int M, int K, int N)[] Sizes = [(1, 1, 1), (3, 5, 2), (129, 33, 7), (20, 130, 257), (40, 1100, 30), (130, 600, 70)];

    [Theory, InlineData(false), InlineData(true)]
    public void EveryFormIsTheProductOfTheRoundedOperands(bool hopper)
    {
        using var device = TestDevice.OpenBf16(hopper);
        foreach (var (m, k, n) in Sizes)
            foreach (var (transposeA, transposeB) in new[] { (false, false), (false, true), (true, false) })
            {
                float[] ofA = Expect.Normal(Shape.Of(m, k), 1), ofB = Expect.Normal(Shape.Of(k, n), 2);
                using Tensor a = Operand(device, ofA, m, k, transposeA), b = Operand(device, ofB, k, n, transposeB), c = device.New(Shape.Of(m, n));
                device.MatMul(a, transposeA, b, transposeB, c);
                var actual = c.ToArray();
                for (int i = 0; i < actual.Length; i++)
                {
                    double sum = 0, size = 0;
                    for (int j = 0; j < k; j++)
                    {
                        double term = (double)Bf16.Rounded(ofA[i / n * k + j]) * Bf16.Rounded(ofB[j * n + i % n]);
                        (sum, size) = (sum + term, size + Math.Abs(term));
                    }
                    double bound = size * Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(k));
                    Assert.True(Math.Abs(actual[i] - sum) <= bound, $"{m}×{k}×{n}, transposed {transposeA} {transposeB}: element {i} is {actual[i]:R}, expected {sum:R} ± {bound:E1}");
                }
            }
    }

    /// Two transposed operands have no such kernel: they keep all their digits.
    [Fact]
    public void TwoTransposedOperandsStayFloats()
    {
        using var device = TestDevice.OpenBf16();
        using Tensor a = device.From(Shape.Of(1, 1), [1 + 1f / 4096]), b = device.From(Shape.Of(1, 1), [1]), c = device.New(Shape.Of(1, 1));
        device.MatMul(a, true, b, true, c);
        Assert.Equal(1 + 1f / 4096, c.Item());
    }

    /// Each term of a sum has two roundings, of 2⁻⁹ of itself at most, and they are as random as the terms are: a sum has 2⁻⁸ of a typical one.
    [Fact]
    public void LinearMatchesReference()
    {
        using var reference = new Reference();
        using var device = TestDevice.OpenBf16();
        foreach (var (rows, width, outputs) in new[] { (1, 1, 1), (5, 17, 33), (33, 31, 65), (13, 700, 1), (29, 100, 300) })
        {
            Shape[] shapes = [Shape.Of(rows, width), Shape.Of(outputs, width), Shape.Of(outputs)];
            float[][] values = [.. shapes.Select(Expect.Normal)], expected = Expect.Run(reference, Op, shapes, values), actual = Expect.Run(device, Op, shapes, values);
            for (int i = 0; i < expected.Length; i++) Expect.Close(expected[i], actual[i], Math.Pow(2, i == 3 ? -20 : -7), $"{(i == 0 ? "result" : $"gradient {i - 1}")} of {rows}×{width}→{outputs}");
        }
        static Tensor Op(Tensor[] x) => x[0].Linear(x[1], x[2]);
    }

    [Fact]
    public void TheSameInputsGiveTheSameBits()
    {
        Shape[] shapes = [Shape.Of(30, 1200), Shape.Of(20, 1200)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        float[][] Run()
        {
            using var device = TestDevice.OpenBf16();
            return Expect.Run(device, x => x[0].Linear(x[1]), shapes, values);
        }
        float[][] first = Run(), second = Run();
        for (int i = 0; i < 3; i++) Assert.Equal(first[i], second[i]);
    }

    static Tensor Operand(Device device, float[] values, int rows, int columns, bool transposed) => transposed
        ? device.From(Shape.Of(columns, rows), [.. Enumerable.Range(0, values.Length).Select(i => values[i % rows * columns + i / rows])])
        : device.From(Shape.Of(rows, columns), values);
}
