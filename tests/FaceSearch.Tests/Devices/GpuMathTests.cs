using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>The functions of the kernels, which run on the host as well.</summary>
public class GpuMathTests
{
    const int Points = 20_000;

    static IEnumerable<double> Between(double from, double to) => Enumerable.Range(0, Points + 1).Select(i => from + (to - from) * i / Points);

    static void Close(double expected, double actual, double relative, double absolute = 0) =>
        Assert.True(Math.Abs(expected - actual) <= relative * Math.Abs(expected) + absolute, $"{actual:R} instead of {expected:R}");

    [Fact]
    public void FunctionsAreThoseOfMath()
    {
        foreach (double x in Between(-87, 88)) Close(Math.Exp((float)x), GpuMath.Exp((float)x), 2e-7);
        foreach (double x in Between(-700, 700)) Close(Math.Exp(x), GpuMath.Exp(x), 1e-13);
        foreach (double x in Between(-600, 600)) Close(Math.Log(Math.Exp(x)), GpuMath.Log(Math.Exp(x)), 1e-15, 1e-16);
        foreach (double x in Between(1e-3, 3)) Close(Math.Log(x), GpuMath.Log(x), 1e-14, 1e-16);
        foreach (double c in Between(-1 + 1e-7, 1 - 1e-7)) Close(Math.Acos(c), GpuMath.Acos(c), 1e-14);
        foreach (double x in Between(-20, 20)) Close(Math.Cos(x), GpuMath.Cos(x), 0, 4e-15);
        foreach (double x in Between(-20, 20)) Close(Math.Sin(x), GpuMath.Sin(x), 0, 4e-15);
    }

    [Fact]
    public void TheEndsOfTheRangeAreWhatKernelsExpect()
    {
        Assert.Equal(double.NegativeInfinity, GpuMath.Log(0));
        Assert.Equal(0, GpuMath.Exp(double.NegativeInfinity));
        Assert.Equal(1, GpuMath.Exp(0.0));
        Assert.Equal(1, GpuMath.Exp(0f));
        Assert.Equal(float.NaN, GpuMath.Exp(float.NaN));
        Assert.Equal(double.NaN, GpuMath.Exp(double.NaN));
        Assert.Equal(double.NaN, GpuMath.Log(double.NaN));
    }

    [Fact]
    public void HalvesOfBf16GoToTheEvenOne()
    {
        foreach (var (x, rounded) in new[] { (1f, 1f), (1 + 1f / 256, 1f), (1 + 3f / 256, 1 + 4f / 256), (1 + 1.01f / 256, 1 + 2f / 256), (-1 - 1f / 256, -1f), (float.MaxValue, float.PositiveInfinity), (float.NegativeInfinity, float.NegativeInfinity), (float.NaN, float.NaN), (1e-40f, Kernels.Bf16.Rounded(1e-40f)) })
            Assert.Equal(rounded, GpuMath.FromBf16(GpuMath.ToBf16(x)));
    }

    [Fact]
    public void DivisorsDivide()
    {
        int[] values = [1, 2, 3, 5, 7, 9, 16, 49, 112, 12544, 65535, 65537, 1 << 30, int.MaxValue];
        foreach (int divisor in values)
        {
            var by = new Divisor(divisor);
            foreach (int n in values.SelectMany(v => new[] { v - 1, v, (int)Math.Min(int.MaxValue, (long)v * 3 + 1) }).Concat(Enumerable.Range(0, 1000)))
            {
                Assert.Equal(n / divisor, by.Quotient(n));
                Assert.Equal(n % divisor, by.Remainder(n, out int quotient));
                Assert.Equal(n / divisor, quotient);
            }
        }
    }
}
