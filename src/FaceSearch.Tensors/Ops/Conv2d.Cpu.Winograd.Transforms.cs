using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>One direction of a transform: Outs vectors from Ins.</summary>
unsafe interface ITransform
{
    static abstract int Ins { get; }
    static abstract int Outs { get; }
    static abstract void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>;
}

static class WinogradPoints
{
    public const float A = 5 / 8f, B = 3 / 2f, A2 = A * A, B2 = B * B, A3 = A * A2, B3 = B * B2, Product = A2 * B2, Sum = A2 + B2;
    public const float AtZero = 1 / Product, AtA = 1 / (2 * A2 * (A2 - B2)), AtB = 1 / (2 * B2 * (B2 - A2));
}

/// <summary>Six inputs of a row → the six points (Bᵀ of the literature).</summary>
readonly unsafe struct InputTransform : ITransform
{
    public static int Ins => 6;
    public static int Outs => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep);
        V d3 = V.Load(from + 3 * fromStep), d4 = V.Load(from + 4 * fromStep), d5 = V.Load(from + 5 * fromStep);
        V product = V.Create(WinogradPoints.Product), sum = V.Create(-WinogradPoints.Sum);
        V.Store(V.Fma(product, d0, V.Fma(sum, d2, d4)), to);
        V.Store(V.Fma(product, d1, V.Fma(sum, d3, d5)), to + 5 * toStep);
        V minus = V.Create(-WinogradPoints.B2), even = V.Fma(minus, d2, d4), odd = V.Create(WinogradPoints.A) * V.Fma(minus, d1, d3);
        V.Store(even + odd, to + toStep);
        V.Store(even - odd, to + 2 * toStep);
        minus = V.Create(-WinogradPoints.A2);
        even = V.Fma(minus, d2, d4);
        odd = V.Create(WinogradPoints.B) * V.Fma(minus, d1, d3);
        V.Store(even + odd, to + 3 * toStep);
        V.Store(even - odd, to + 4 * toStep);
    }
}

/// <summary>The six points → four outputs of a row (Aᵀ).</summary>
readonly unsafe struct OutputTransform : ITransform
{
    public static int Ins => 6;
    public static int Outs => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V m1 = V.Load(from + fromStep), m2 = V.Load(from + 2 * fromStep), m3 = V.Load(from + 3 * fromStep), m4 = V.Load(from + 4 * fromStep);
        V evenA = m1 + m2, oddA = m1 - m2, evenB = m3 + m4, oddB = m3 - m4;
        V.Store(V.Load(from) + evenA + evenB, to);
        V.Store(V.Fma(V.Create(WinogradPoints.A), oddA, V.Create(WinogradPoints.B) * oddB), to + toStep);
        V.Store(V.Fma(V.Create(WinogradPoints.A2), evenA, V.Create(WinogradPoints.B2) * evenB), to + 2 * toStep);
        V.Store(V.Fma(V.Create(WinogradPoints.A3), oddA, V.Fma(V.Create(WinogradPoints.B3), oddB, V.Load(from + 5 * fromStep))), to + 3 * toStep);
    }
}

/// <summary>Four gradients of a row → the six points (A).</summary>
readonly unsafe struct GradientTransform : ITransform
{
    public static int Ins => 4;
    public static int Outs => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V g0 = V.Load(from), g1 = V.Load(from + fromStep), g2 = V.Load(from + 2 * fromStep), g3 = V.Load(from + 3 * fromStep);
        V.Store(g0, to);
        V even = V.Fma(V.Create(WinogradPoints.A2), g2, g0), odd = V.Fma(V.Create(WinogradPoints.A3), g3, V.Create(WinogradPoints.A) * g1);
        V.Store(even + odd, to + toStep);
        V.Store(even - odd, to + 2 * toStep);
        even = V.Fma(V.Create(WinogradPoints.B2), g2, g0);
        odd = V.Fma(V.Create(WinogradPoints.B3), g3, V.Create(WinogradPoints.B) * g1);
        V.Store(even + odd, to + 3 * toStep);
        V.Store(even - odd, to + 4 * toStep);
        V.Store(g3, to + 5 * toStep);
    }
}

/// <summary>Three weights of a row → the six points (G).</summary>
readonly unsafe struct WeightTransform : ITransform
{
    public static int Ins => 3;
    public static int Outs => 6;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V w0 = V.Load(from), w1 = V.Load(from + fromStep), w2 = V.Load(from + 2 * fromStep);
        V.Store(V.Create(WinogradPoints.AtZero) * w0, to);
        V even = V.Create(WinogradPoints.AtA) * V.Fma(V.Create(WinogradPoints.A2), w2, w0), odd = V.Create(WinogradPoints.AtA * WinogradPoints.A) * w1;
        V.Store(even + odd, to + toStep);
        V.Store(even - odd, to + 2 * toStep);
        even = V.Create(WinogradPoints.AtB) * V.Fma(V.Create(WinogradPoints.B2), w2, w0);
        odd = V.Create(WinogradPoints.AtB * WinogradPoints.B) * w1;
        V.Store(even + odd, to + 3 * toStep);
        V.Store(even - odd, to + 4 * toStep);
        V.Store(w2, to + 5 * toStep);
    }
}

/// <summary>The six points → three weight gradients of a row (Gᵀ).</summary>
readonly unsafe struct WeightGradientTransform : ITransform
{
    public static int Ins => 6;
    public static int Outs => 3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>
    {
        V m1 = V.Load(from + fromStep), m2 = V.Load(from + 2 * fromStep), m3 = V.Load(from + 3 * fromStep), m4 = V.Load(from + 4 * fromStep);
        V evenA = V.Create(WinogradPoints.AtA) * (m1 + m2), oddA = V.Create(WinogradPoints.AtA) * (m1 - m2);
        V evenB = V.Create(WinogradPoints.AtB) * (m3 + m4), oddB = V.Create(WinogradPoints.AtB) * (m3 - m4);
        V.Store(V.Fma(V.Create(WinogradPoints.AtZero), V.Load(from), evenA + evenB), to);
        V.Store(V.Fma(V.Create(WinogradPoints.A), oddA, V.Create(WinogradPoints.B) * oddB), to + toStep);
        V.Store(V.Fma(V.Create(WinogradPoints.A2), evenA, V.Fma(V.Create(WinogradPoints.B2), evenB, V.Load(from + 5 * fromStep))), to + 2 * toStep);
    }
}

public sealed unsafe partial class Cpu<V>
{
    // Half-transformed tile, then a tile of outputs that the map cuts off.
    const int PatchOffset = 36 * 16, TransformFloats = PatchOffset + 16 * 16;

    /// <summary>T along both directions of a run of tiles, `fromTile` and `toTile` apart. `half` holds one tile between the directions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void Transform2d<T>(float* from, long fromRow, long fromColumn, long fromTile, float* to, long toRow, long toColumn, long toTile, int tiles, float* half) where T : ITransform
    {
        for (int tile = 0; tile < tiles; tile++, from += fromTile, to += toTile)
        {
            for (int row = 0; row < T.Ins; row++) T.Apply<V>(from + row * fromRow, fromColumn, half + row * T.Outs * 16, 16);
            for (int column = 0; column < T.Outs; column++) T.Apply<V>(half + column * 16, T.Outs * 16, to + column * toColumn, toRow);
        }
    }
}
