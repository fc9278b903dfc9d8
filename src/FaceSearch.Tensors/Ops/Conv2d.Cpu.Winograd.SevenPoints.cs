using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// The points ±A, ±B, ±C, 0, in this order, at which Winograd's polynomials are evaluated: short binary fractions, so that the products
/// here are exact. The transforms follow from Lagrange's interpolation: Aᵀ has the powers of the points, G the powers divided by
/// Π(p − q) over the other points q, Bᵀ the coefficients of Π(t − q). Tiles have N outputs: five, or beside such four, which lack the
/// point 0. Their G would lack its factor p − 0; they have it in Bᵀ, and share the weights of the fives.
/// </summary>
readonly unsafe struct SevenPoints<N> : ITileForm where N : ISize
{
    const float A = 9 / 16f, B = 19 / 16f, C = 7 / 2f, A2 = A * A, B2 = B * B, C2 = C * C;
    const float AtA = 1 / (2 * A2 * (A2 - B2) * (A2 - C2)), AtB = 1 / (2 * B2 * (B2 - A2) * (B2 - C2)), AtC = 1 / (2 * C2 * (C2 - A2) * (C2 - B2));
    const float AtZero = -1 / (A2 * B2 * C2);

    public static int Inputs => N.Value + 2;
    public static int Outputs => N.Value;
    public static int Points => N.Value + 2;
    public static int WeightPoints => N.Value + 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Input<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep), d3 = V.Load(from + 3 * fromStep);
        V d4 = V.Load(from + 4 * fromStep), d5 = V.Load(from + 5 * fromStep), d6 = N.Value == 5 ? V.Load(from + 6 * fromStep) : V.Zero;
        // The even part is one power higher where there is a point 0.
        var (e0, e2, e4) = N.Value == 5 ? (d2, d4, d6) : (d0, d2, d4);
        Pair(A, B2, C2, d1, d3, d5, e0, e2, e4, to, toStep);
        Pair(B, A2, C2, d1, d3, d5, e0, e2, e4, to + 2 * toStep, toStep);
        Pair(C, A2, B2, d1, d3, d5, e0, e2, e4, to + 4 * toStep, toStep);
        if (N.Value == 5)
        {
            const float sum = A2 + B2 + C2, product = A2 * B2 * C2;
            const float pairs = A2 * B2 + (A2 + B2) * C2;
            V.Store(V.Fma(V.Create(-product), d0, V.Fma(V.Create(pairs), d2, V.Fma(V.Create(-sum), d4, d6))), to + 6 * toStep);
        }

        // The points ±p: (t ± p)(t² − q²)(t² − r²), times t with the point 0, times ±p without.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, float q2, float r2, V d1, V d3, V d5, V e0, V e2, V e4, float* to, long toStep)
        {
            V product = V.Create(q2 * r2), sum = V.Create(-(q2 + r2)), odd = V.Fma(product, d1, V.Fma(sum, d3, d5)), even = V.Fma(product, e0, V.Fma(sum, e2, e4));
            if (N.Value == 4) even = V.Create(p * p) * even;
            V.Store(V.Fma(V.Create(p), odd, even), to);
            V.Store(V.Fma(V.Create(-p), odd, even), to + toStep);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Output<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        var (evenA, oddA) = PlusMinus.Of<V>(from, fromStep);
        var (evenB, oddB) = PlusMinus.Of<V>(from + 2 * fromStep, fromStep);
        var (evenC, oddC) = PlusMinus.Of<V>(from + 4 * fromStep, fromStep);
        V sum = evenA + evenB + evenC;
        V.Store(N.Value == 5 ? V.Load(from + 6 * fromStep) + sum : sum, to);
        Power(A, B, C, oddA, oddB, oddC, to + toStep);
        Power(A2, B2, C2, evenA, evenB, evenC, to + 2 * toStep);
        Power(A * A2, B * B2, C * C2, oddA, oddB, oddC, to + 3 * toStep);
        if (N.Value == 5) Power(A2 * A2, B2 * B2, C2 * C2, evenA, evenB, evenC, to + 4 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Power(float a, float b, float c, V x, V y, V z, float* to) => V.Store(V.Fma(V.Create(a), x, V.Fma(V.Create(b), y, V.Create(c) * z)), to);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Gradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V g0 = V.Load(from), g1 = V.Load(from + fromStep), g2 = V.Load(from + 2 * fromStep), g3 = V.Load(from + 3 * fromStep);
        V g4 = N.Value == 5 ? V.Load(from + 4 * fromStep) : V.Zero;
        Pair(A, g0, g1, g2, g3, g4, to, toStep);
        Pair(B, g0, g1, g2, g3, g4, to + 2 * toStep, toStep);
        Pair(C, g0, g1, g2, g3, g4, to + 4 * toStep, toStep);
        if (N.Value == 5) V.Store(g0, to + 6 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, V g0, V g1, V g2, V g3, V g4, float* to, long toStep)
        {
            V even = V.Fma(V.Create(p * p), N.Value == 5 ? V.Fma(V.Create(p * p), g4, g2) : g2, g0);
            PlusMinus.Store(even, V.Create(p) * V.Fma(V.Create(p * p), g3, g1), to, toStep);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Weight<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V w0 = V.Load(from), w1 = V.Load(from + fromStep), w2 = V.Load(from + 2 * fromStep);
        Pair(A, AtA, w0, w1, w2, to, toStep);
        Pair(B, AtB, w0, w1, w2, to + 2 * toStep, toStep);
        Pair(C, AtC, w0, w1, w2, to + 4 * toStep, toStep);
        if (N.Value == 5) V.Store(V.Create(AtZero) * w0, to + 6 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, float at, V w0, V w1, V w2, float* to, long toStep) => PlusMinus.Store(V.Create(at) * V.Fma(V.Create(p * p), w2, w0), V.Create(at * p) * w1, to, toStep);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void WeightGradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        var (evenA, oddA) = PlusMinus.Of<V>(from, fromStep);
        var (evenB, oddB) = PlusMinus.Of<V>(from + 2 * fromStep, fromStep);
        var (evenC, oddC) = PlusMinus.Of<V>(from + 4 * fromStep, fromStep);
        (evenA, evenB, evenC) = (V.Create(AtA) * evenA, V.Create(AtB) * evenB, V.Create(AtC) * evenC);
        V sum = evenA + evenB + evenC;
        V.Store(N.Value == 5 ? V.Fma(V.Create(AtZero), V.Load(from + 6 * fromStep), sum) : sum, to);
        const float a = AtA * A, b = AtB * B, c = AtC * C;
        V.Store(V.Fma(V.Create(a), oddA, V.Fma(V.Create(b), oddB, V.Create(c) * oddC)), to + toStep);
        V.Store(V.Fma(V.Create(A2), evenA, V.Fma(V.Create(B2), evenB, V.Create(C2) * evenC)), to + 2 * toStep);
    }
}

/// <summary>What stands at p and at −p, as sum and difference.</summary>
static unsafe class PlusMinus
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (V Even, V Odd) Of<V>(float* from, long step) where V : struct, ILanes<V>
    {
        V plus = V.Load(from), minus = V.Load(from + step);
        return (plus + minus, plus - minus);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(V even, V odd, float* to, long step) where V : struct, ILanes<V>
    {
        V.Store(even + odd, to);
        V.Store(even - odd, to + step);
    }
}
