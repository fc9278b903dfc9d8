using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Counter-based random numbers: a draw is a pure function of (seed, stream, index), so its value depends neither on
/// the order of the draws nor on the thread that makes them. Streams are independent sequences of one seed.
/// The mix is two rounds of the SplitMix64 finaliser (Steele, Lea, Flood 2014; Stafford's variant 13).
/// </summary>
public static class Noise
{
    const ulong Golden = 0x9E3779B97F4A7C15;
    const double Unit53 = 1.0 / (1UL << 53);

    /// <summary>64 uniform bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Bits(ulong seed, ulong stream, ulong index) => Bits(Key(seed, stream), index);

    /// <summary>What the draws of a stream have in common.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Key(ulong seed, ulong stream) => Mix(Mix(seed + Golden) ^ (stream * 0xD1342543DE82EF95 + Golden));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Bits(ulong key, ulong index) => Mix(key + index * Golden);

    /// <summary>Uniform in [0, 1), 53 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Uniform(ulong seed, ulong stream, ulong index) => (Bits(seed, stream, index) >> 11) * Unit53;

    /// <summary>Standard normal (Box and Muller 1958), finite, at most about 8.6 in size.</summary>
    public static double Normal(ulong seed, ulong stream, ulong index)
    {
        ulong bits = Bits(seed, stream, index);
        double radius = Math.Sqrt(-2 * Math.Log(((bits >> 11) + 1) * Unit53));
        return radius * Math.Cos(2 * Math.PI * ((Mix(bits + Golden) >> 11) * Unit53));
    }

    /// <summary>Uniform in 0..n-1, n at least 1; the bias is at most n / 2^64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Below(int n, ulong seed, ulong stream, ulong index)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        return (int)Math.BigMul(Bits(seed, stream, index), (ulong)n, out _);
    }

    /// <summary>A uniform order of 0..n-1 (Fisher and Yates).</summary>
    public static int[] Permutation(int n, ulong seed, ulong stream)
    {
        var order = new int[n];
        for (int i = 0; i < n; i++)
        {
            int j = Below(i + 1, seed, stream, (ulong)i);
            order[i] = order[j];
            order[j] = i;
        }
        return order;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
