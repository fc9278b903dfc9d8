using System.Runtime.CompilerServices;
using ILGPU;

namespace FaceSearch.Tensors;

/// <summary>
/// Functions that kernels need and that differ between GPUs or do not exist on them. Written out in additions and
/// multiplications, they give the same digits everywhere: the hardware's own exponential errs more the larger its argument.
/// </summary>
static class GpuMath
{
    const double Ln2High = 6.93147180369123816490e-01, Ln2Low = 1.90821492927058770002e-10, InverseLn2 = 1.44269504088896338700;
    const double PiHigh = 3.14159265358979311600, PiLow = 1.22464679914735317723e-16;

    /// a·b + c, which the driver's compiler and PoCL's contract into one instruction. MathF.FusedMultiplyAdd becomes a call of a
    /// function that nobody defines (ILGPU 1.5.3).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float MultiplyAdd(float a, float b, float c) => a * b + c;

    /// To the nearest bf16, halves to the even one; a NaN stays one.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort ToBf16(float x)
    {
        uint bits = Interop.FloatAsInt(x);
        return (bits & 0x7FFFFFFF) > 0x7F800000 ? (ushort)0x7FFF : (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float FromBf16(ushort x) => Interop.IntAsFloat((uint)x << 16);

    /// eˣ to two units in the last place, held within the normal numbers; a NaN stays one. The polynomial is Cephes'.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Exp(float x)
    {
        // Conditional values, not conditional assignments: ILGPU's OpenCL code drops "or unordered" from the opposite comparison,
        // and with it a NaN.
        x = x > 88.3f ? 88.3f : x;
        x = x < -87.3f ? -87.3f : x;
        float scaled = x * 1.44269504f;
        int n = (int)(scaled + (scaled < 0 ? -0.5f : 0.5f));
        // ln 2 in two parts, so that the remainder keeps its bits.
        float f = MultiplyAdd(n, -0.693359375f, x);
        f = MultiplyAdd(n, 2.12194440e-4f, f);
        float p = 1.9875691500e-4f;
        p = MultiplyAdd(p, f, 1.3981999507e-3f);
        p = MultiplyAdd(p, f, 8.3334519073e-3f);
        p = MultiplyAdd(p, f, 4.1665795894e-2f);
        p = MultiplyAdd(p, f, 1.6666665459e-1f);
        p = MultiplyAdd(p, f, 5.0000001201e-1f);
        p = MultiplyAdd(p * f, f, f + 1);
        return p * Interop.IntAsFloat((uint)(n + 127) << 23);
    }

    /// eˣ, 0 below −700, held at e⁷⁰⁰ above.
    public static double Exp(double x)
    {
        if (x < -700) return 0;
        if (x > 700) x = 700;
        double scaled = x * InverseLn2;
        int n = (int)(scaled + (scaled < 0 ? -0.5 : 0.5));
        double r = x - n * Ln2High - n * Ln2Low, sum = 1;
        for (int k = 14; k > 0; k--) sum = 1 + sum * r / k;
        return sum * Interop.IntAsFloat((ulong)(n + 1023) << 52);
    }

    /// ln x of a normal number; −∞ for 0. With s = (m − 1)/(m + 1), ln m = 2·(s + s³/3 + s⁵/5 + …).
    public static double Log(double x)
    {
        if (x == 0) return double.NegativeInfinity;
        if (!(x < double.PositiveInfinity)) return x;
        ulong bits = Interop.FloatAsInt(x);
        int exponent = (int)(bits >> 52) - 1023;
        double m = Interop.IntAsFloat((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
        if (m > 1.4142135623730951)
        {
            m *= 0.5;
            exponent++;
        }
        double s = (m - 1) / (m + 1), square = s * s, sum = 0;
        for (int k = 25; k > 0; k -= 2) sum = sum * square + 1.0 / k;
        return exponent * Ln2High + (2 * s * sum + exponent * Ln2Low);
    }

    /// arccos c within (−1, 1): twice the arctangent of √((1 − c)/(1 + c)), whose argument is halved twice.
    public static double Acos(double c)
    {
        double t = Math.Sqrt((1 - c) / (1 + c));
        bool steep = t > 1;
        if (steep) t = 1 / t;
        t /= 1 + Math.Sqrt(1 + t * t);
        t /= 1 + Math.Sqrt(1 + t * t);
        double square = t * t, sum = 0;
        for (int k = 27; k > 0; k -= 2) sum = 1.0 / k - square * sum;
        double arctangent = 4 * t * sum;
        return 2 * (steep ? PiHigh / 2 - arctangent : arctangent);
    }

    /// cos x for |x| up to about a thousand.
    public static double Cos(double x)
    {
        double r = Reduce(x, out double sign), square = r * r, sum = 1;
        for (int k = 26; k > 0; k -= 2) sum = 1 - sum * square / (k * (k - 1));
        return sign * sum;
    }

    /// sin x for |x| up to about a thousand.
    public static double Sin(double x)
    {
        double r = Reduce(x, out double sign), square = r * r, sum = 1;
        for (int k = 27; k > 1; k -= 2) sum = 1 - sum * square / (k * (k - 1));
        return sign * r * sum;
    }

    /// The distance to the nearest multiple of π, and (−1) to that multiple.
    static double Reduce(double x, out double sign)
    {
        double turns = x / PiHigh + 0.5;
        int n = (int)turns;
        if (n > turns) n--;
        sign = n % 2 == 0 ? 1 : -1;
        return x - n * PiHigh - n * PiLow;
    }
}

/// <summary>
/// Division by a number that a whole kernel shares: a multiplication and a shift, since GPUs divide integers in software.
/// Right for every n from 0 to 2³¹ − 1 (Granlund and Montgomery 1994).
/// </summary>
readonly struct Divisor
{
    readonly ulong multiplier;
    readonly int shift;
    public readonly int Value;

    public Divisor(int value)
    {
        Value = value;
        shift = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)value - 1);
        multiplier = (1UL << 32) * ((1UL << shift) - (ulong)value) / (ulong)value + 1;
    }

    public int Quotient(int n)
    {
        ulong dividend = (uint)n, high = (multiplier * dividend) >> 32;
        return (int)((high + dividend) >> shift);
    }

    /// The remainder, and the quotient with it.
    public int Remainder(int n, out int quotient)
    {
        quotient = Quotient(n);
        return n - quotient * Value;
    }
}

/// <summary>What a row's own logit needs, of <see cref="GpuMath"/>.</summary>
readonly struct GpuAngles : IAngles
{
    public static double Acos(double c) => GpuMath.Acos(c);
    public static double Cos(double x) => GpuMath.Cos(x);
    public static double Sin(double x) => GpuMath.Sin(x);
    public static double Exp(double x) => GpuMath.Exp(x);
    public static double Log(double x) => GpuMath.Log(x);
}
