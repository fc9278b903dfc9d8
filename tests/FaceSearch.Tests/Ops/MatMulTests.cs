using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class MatMulTests
{
    // Around every edge of the tiling: kernel heights and widths (3, 6, 12; 16, 32), blocks of 24 rows, tiles of 256 columns and 1032 rows, slabs of 512 terms. Rows of 512 terms are not packed.
    static readonly (int M, int K, int N)[] Sizes =
    [
        (1, 1, 1), (3, 5, 2), (11, 15, 15), (12, 16, 16), (13, 17, 17), (25, 4, 31), (6, 33, 32), (7, 2, 33), (1, 600, 40), (40, 600, 1),
        (23, 20, 48), (47, 31, 49), (49, 512, 70), (300, 512, 23), (30, 511, 257), (33, 513, 255), (17, 1030, 65), (9, 40, 530), (1034, 3, 20), (20, 3, 1040),
    ];

    [Theory, EveryDevice]
    public void MatchesReferenceInAllFourForms(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using var reference = new Reference();
        foreach (var (m, k, n) in Sizes)
            foreach (var (transposeA, transposeB) in Forms)
                Expect.Close(Product(reference, m, k, n, transposeA, transposeB), Product(device, m, k, n, transposeA, transposeB),
                    Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(k)), $"{m}×{k}×{n}, transposed {transposeA} {transposeB}, on {device.Name}");
    }

    [Theory, EveryDevice]
    public void GivesTheSameBitsInEveryFormAndOnAnyNumberOfThreads(string instructionSet, int threads)
    {
        using Device one = TestDevice.Open(instructionSet, 1), several = TestDevice.Open(instructionSet, threads);
        foreach (var (m, k, n) in new[] { (130, 1100, 300), (70, 512, 300), (16, 1500, 520), (520, 30, 70) })
        {
            var expected = Product(one, m, k, n, false, false);
            foreach (var (transposeA, transposeB) in Forms) Assert.Equal(expected, Product(several, m, k, n, transposeA, transposeB));
        }
    }

    static readonly (bool A, bool B)[] Forms = [(false, false), (false, true), (true, false), (true, true)];

    /// a [m, k] times b [k, n], whose values do not depend on how they are handed over.
    static float[] Product(Device device, int m, int k, int n, bool transposeA, bool transposeB)
    {
        using Tensor a = Operand(device, m, k, 1, transposeA), b = Operand(device, k, n, 2, transposeB), c = device.New(Shape.Of(m, n));
        device.MatMul(a, transposeA, b, transposeB, c);
        return c.ToArray();
    }

    static Tensor Operand(Device device, int rows, int columns, int stream, bool transposed)
    {
        var values = Expect.Normal(Shape.Of(rows, columns), stream);
        return transposed
            ? device.From(Shape.Of(columns, rows), [.. Enumerable.Range(0, values.Length).Select(i => values[i % rows * columns + i / rows])])
            : device.From(Shape.Of(rows, columns), values);
    }
}
