using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Stride 2 along one direction. With padding 1, y[i] = w0·x[2i−1] + w1·x[2i] + w2·x[2i+1]: the odd x meet two weights, the even ones a single
/// one. So N outputs take N+1 products at points of Toom and Cook, F(N, 2), and N products with w1, which share its weights: 9 where the direct sum has 12.
///
/// The points are ±A, ±B and, with four outputs, 0 (SevenPoints.cs has the rules); these A and B err least of the short binary fractions. Their
/// order: ±A, ±B, the even x, 0. Where tiles of three stand beside fours they lack the last even x and the point 0.
/// </summary>
readonly unsafe struct DownTile<N> : ITileForm where N : ISize
{
    const float A = 3 / 4f, B = 5 / 2f, A2 = A * A, B2 = B * B;
    const float AtA = 1 / (2 * A2 * (A2 - B2)), AtB = 1 / (2 * B2 * (B2 - A2)), AtZero = 1 / (A2 * B2);
    // Where the even x begin among the points, and the point 0; and where w1 and the point 0 are among those of weights.
    internal const int Even = 4;
    const int Zero = 8, WeightEven = 4, WeightZero = 5;

    public static int Inputs => 2 * N.Value + 1;
    public static int Outputs => N.Value;
    public static int Points => 2 * N.Value + 1;
    public static int WeightPoints => N.Value + 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        InputOfTwo<V>(from, 2 * fromStep, to, toStep);
        for (int i = 0; i < N.Value; i++) V.Store(V.Load(from + (2 * i + 1) * fromStep), to + (Even + i) * toStep);
    }

    /// F(N, 2): N+1 inputs → the points but those of even x.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void InputOfTwo<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep), d3 = V.Load(from + 3 * fromStep);
        V d4 = N.Value == 4 ? V.Load(from + 4 * fromStep) : V.Zero;
        Pair(A, B2, d0, d1, d2, d3, d4, to, toStep);
        Pair(B, A2, d0, d1, d2, d3, d4, to + 2 * toStep, toStep);
        if (N.Value == 4) V.Store(V.Fma(V.Create(A2 * B2), d0, V.Fma(V.Create(-(A2 + B2)), d2, d4)), to + Zero * toStep);

        // The points ±p: (t ± p)(t² − q²), times t with the point 0, times ±p without.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, float q2, V d0, V d1, V d2, V d3, V d4, float* to, long toStep)
        {
            V odd = V.Fma(V.Create(-q2), d1, d3), even = N.Value == 4 ? V.Fma(V.Create(-q2), d2, d4) : V.Create(p * p) * V.Fma(V.Create(-q2), d0, d2);
            V.Store(V.Fma(V.Create(p), odd, even), to);
            V.Store(V.Fma(V.Create(-p), odd, even), to + toStep);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        float* even = from + Even * fromStep;
        OutputOfTwo(from, fromStep, V.Load(even), V.Load(even + fromStep), V.Load(even + 2 * fromStep), N.Value == 4 ? V.Load(even + 3 * fromStep) : V.Zero, to, toStep);
    }

    /// F(N, 2): the points but those of even x → N outputs, added to y.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void OutputOfTwo<V>(float* from, long fromStep, V y0, V y1, V y2, V y3, float* to, long toStep) where V : struct, ILanes<V>
    {
        var (evenA, oddA) = PlusMinus.Of<V>(from, fromStep);
        var (evenB, oddB) = PlusMinus.Of<V>(from + 2 * fromStep, fromStep);
        if (N.Value == 4) y0 += V.Load(from + Zero * fromStep);
        V.Store(y0 + (evenA + evenB), to);
        V.Store(V.Fma(V.Create(A), oddA, V.Fma(V.Create(B), oddB, y1)), to + toStep);
        V.Store(V.Fma(V.Create(A2), evenA, V.Fma(V.Create(B2), evenB, y2)), to + 2 * toStep);
        if (N.Value == 4) V.Store(V.Fma(V.Create(A * A2), oddA, V.Fma(V.Create(B * B2), oddB, y3)), to + 3 * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Gradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V g0 = V.Load(from), g1 = V.Load(from + fromStep), g2 = V.Load(from + 2 * fromStep), g3 = N.Value == 4 ? V.Load(from + 3 * fromStep) : V.Zero;
        Pair(A, g0, g1, g2, g3, to, toStep);
        Pair(B, g0, g1, g2, g3, to + 2 * toStep, toStep);
        for (int i = 0; i < N.Value; i++) V.Store(V.Load(from + i * fromStep), to + (Even + i) * toStep);
        if (N.Value == 4) V.Store(g0, to + Zero * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, V g0, V g1, V g2, V g3, float* to, long toStep) =>
            PlusMinus.Store(V.Fma(V.Create(p * p), g2, g0), V.Create(p) * (N.Value == 4 ? V.Fma(V.Create(p * p), g3, g1) : g1), to, toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Weight<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V w0 = V.Load(from), w2 = V.Load(from + 2 * fromStep);
        PlusMinus.Store(V.Create(AtA) * w0, V.Create(AtA * A) * w2, to, toStep);
        PlusMinus.Store(V.Create(AtB) * w0, V.Create(AtB * B) * w2, to + 2 * toStep, toStep);
        V.Store(V.Load(from + fromStep), to + WeightEven * toStep);
        if (N.Value == 4) V.Store(V.Create(AtZero) * w0, to + WeightZero * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WeightGradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        var (evenA, oddA) = PlusMinus.Of<V>(from, fromStep);
        var (evenB, oddB) = PlusMinus.Of<V>(from + 2 * fromStep, fromStep);
        V w0 = V.Fma(V.Create(AtA), evenA, V.Create(AtB) * evenB);
        V.Store(N.Value == 4 ? V.Fma(V.Create(AtZero), V.Load(from + WeightZero * fromStep), w0) : w0, to);
        V.Store(V.Load(from + WeightEven * fromStep), to + toStep);
        V.Store(V.Fma(V.Create(AtA * A), oddA, V.Create(AtB * B) * oddB), to + 2 * toStep);
    }
}

/// <summary>
/// The gradient of a convolution of stride 2: dx[2i] = w1·dy[i] and dx[2i+1] = w2·dy[i] + w0·dy[i+1], N pairs from N+1 gradients, at the points of DownTile and
/// with its weights, turned.
/// </summary>
readonly unsafe struct UpTile<N> : ITileForm where N : ISize
{
    public static int Inputs => N.Value + 1;
    public static int Outputs => 2 * N.Value;
    public static int Points => 2 * N.Value + 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        DownTile<N>.InputOfTwo<V>(from, fromStep, to, toStep);
        for (int i = 0; i < N.Value; i++) V.Store(V.Load(from + i * fromStep), to + (DownTile<N>.Even + i) * toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        for (int i = 0; i < N.Value; i++) V.Store(V.Load(from + (DownTile<N>.Even + i) * fromStep), to + 2 * i * toStep);
        DownTile<N>.OutputOfTwo(from, fromStep, V.Zero, V.Zero, V.Zero, V.Zero, to + toStep, 2 * toStep);
    }
}
