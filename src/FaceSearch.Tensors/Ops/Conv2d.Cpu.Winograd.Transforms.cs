using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>How many outputs a tile has along a direction: five, at all seven points, or four, at all but 0.</summary>
interface ITileForm
{
    static abstract int Outputs { get; }
}

readonly struct Fives : ITileForm { public static int Outputs => 5; }
readonly struct Fours : ITileForm { public static int Outputs => 4; }

/// <summary>One direction of a transform: Outs vectors from Ins, for tiles of so many outputs.</summary>
unsafe interface ITransform
{
    static abstract int Ins(int outputs);
    static abstract int Outs(int outputs);
    static abstract void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm;
}

/// <summary>
/// The points ±A, ±B, ±C, 0, in this order, at which Winograd's polynomials are evaluated: short binary fractions, so that the products
/// here are exact. The transforms follow from Lagrange's interpolation: Aᵀ has the powers of the points, G the powers divided by
/// Π(p − q) over the other points q, Bᵀ the coefficients of Π(t − q). Tiles of four lack the point 0. Their G would
/// lack its factor p − 0; they have it in Bᵀ, and share the weights of the fives.
/// </summary>
static class WinogradPoints
{
    public const float A = 9 / 16f, B = 19 / 16f, C = 7 / 2f, A2 = A * A, B2 = B * B, C2 = C * C;
    public const float AtA = 1 / (2 * A2 * (A2 - B2) * (A2 - C2)), AtB = 1 / (2 * B2 * (B2 - A2) * (B2 - C2)), AtC = 1 / (2 * C2 * (C2 - A2) * (C2 - B2));
    public const float AtZero = -1 / (A2 * B2 * C2);
}

/// <summary>The inputs of a row → the points (Bᵀ of the literature).</summary>
readonly unsafe struct InputTransform : ITransform
{
    public static int Ins(int outputs) => outputs + 2;
    public static int Outs(int outputs) => outputs + 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm
    {
        V d0 = V.Load(from), d1 = V.Load(from + fromStep), d2 = V.Load(from + 2 * fromStep), d3 = V.Load(from + 3 * fromStep);
        V d4 = V.Load(from + 4 * fromStep), d5 = V.Load(from + 5 * fromStep), d6 = F.Outputs == 5 ? V.Load(from + 6 * fromStep) : V.Zero;
        // The even part is one power higher where there is a point 0.
        var (e0, e2, e4) = F.Outputs == 5 ? (d2, d4, d6) : (d0, d2, d4);
        Pair(WinogradPoints.A, WinogradPoints.B2, WinogradPoints.C2, d1, d3, d5, e0, e2, e4, to, toStep);
        Pair(WinogradPoints.B, WinogradPoints.A2, WinogradPoints.C2, d1, d3, d5, e0, e2, e4, to + 2 * toStep, toStep);
        Pair(WinogradPoints.C, WinogradPoints.A2, WinogradPoints.B2, d1, d3, d5, e0, e2, e4, to + 4 * toStep, toStep);
        if (F.Outputs == 5)
        {
            const float sum = WinogradPoints.A2 + WinogradPoints.B2 + WinogradPoints.C2, product = WinogradPoints.A2 * WinogradPoints.B2 * WinogradPoints.C2;
            const float pairs = WinogradPoints.A2 * WinogradPoints.B2 + (WinogradPoints.A2 + WinogradPoints.B2) * WinogradPoints.C2;
            V.Store(V.Fma(V.Create(-product), d0, V.Fma(V.Create(pairs), d2, V.Fma(V.Create(-sum), d4, d6))), to + 6 * toStep);
        }

        // The points ±p: (t ± p)(t² − q²)(t² − r²), times t with the point 0, times ±p without.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, float q2, float r2, V d1, V d3, V d5, V e0, V e2, V e4, float* to, long toStep)
        {
            V product = V.Create(q2 * r2), sum = V.Create(-(q2 + r2)), odd = V.Fma(product, d1, V.Fma(sum, d3, d5)), even = V.Fma(product, e0, V.Fma(sum, e2, e4));
            if (F.Outputs == 4) even = V.Create(p * p) * even;
            V.Store(V.Fma(V.Create(p), odd, even), to);
            V.Store(V.Fma(V.Create(-p), odd, even), to + toStep);
        }
    }
}

/// <summary>The points → the outputs of a row (Aᵀ).</summary>
readonly unsafe struct OutputTransform : ITransform
{
    public static int Ins(int outputs) => outputs + 2;
    public static int Outs(int outputs) => outputs;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm
    {
        var (evenA, oddA) = WinogradPair.Of<V>(from, fromStep);
        var (evenB, oddB) = WinogradPair.Of<V>(from + 2 * fromStep, fromStep);
        var (evenC, oddC) = WinogradPair.Of<V>(from + 4 * fromStep, fromStep);
        V sum = evenA + evenB + evenC;
        V.Store(F.Outputs == 5 ? V.Load(from + 6 * fromStep) + sum : sum, to);
        Power(WinogradPoints.A, WinogradPoints.B, WinogradPoints.C, oddA, oddB, oddC, to + toStep);
        Power(WinogradPoints.A2, WinogradPoints.B2, WinogradPoints.C2, evenA, evenB, evenC, to + 2 * toStep);
        Power(WinogradPoints.A * WinogradPoints.A2, WinogradPoints.B * WinogradPoints.B2, WinogradPoints.C * WinogradPoints.C2, oddA, oddB, oddC, to + 3 * toStep);
        if (F.Outputs == 5) Power(WinogradPoints.A2 * WinogradPoints.A2, WinogradPoints.B2 * WinogradPoints.B2, WinogradPoints.C2 * WinogradPoints.C2, evenA, evenB, evenC, to + 4 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Power(float a, float b, float c, V x, V y, V z, float* to) => V.Store(V.Fma(V.Create(a), x, V.Fma(V.Create(b), y, V.Create(c) * z)), to);
    }
}

static unsafe class WinogradPair
{
    /// Sum and difference of what stands at p and at −p.
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

/// <summary>Gradients of a row → the points (A).</summary>
readonly unsafe struct GradientTransform : ITransform
{
    public static int Ins(int outputs) => outputs;
    public static int Outs(int outputs) => outputs + 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm
    {
        V g0 = V.Load(from), g1 = V.Load(from + fromStep), g2 = V.Load(from + 2 * fromStep), g3 = V.Load(from + 3 * fromStep);
        V g4 = F.Outputs == 5 ? V.Load(from + 4 * fromStep) : V.Zero;
        Pair(WinogradPoints.A, g0, g1, g2, g3, g4, to, toStep);
        Pair(WinogradPoints.B, g0, g1, g2, g3, g4, to + 2 * toStep, toStep);
        Pair(WinogradPoints.C, g0, g1, g2, g3, g4, to + 4 * toStep, toStep);
        if (F.Outputs == 5) V.Store(g0, to + 6 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, V g0, V g1, V g2, V g3, V g4, float* to, long toStep)
        {
            V even = V.Fma(V.Create(p * p), F.Outputs == 5 ? V.Fma(V.Create(p * p), g4, g2) : g2, g0);
            WinogradPair.Store(even, V.Create(p) * V.Fma(V.Create(p * p), g3, g1), to, toStep);
        }
    }
}

/// <summary>Three weights of a row → the points (G).</summary>
readonly unsafe struct WeightTransform : ITransform
{
    public static int Ins(int outputs) => 3;
    public static int Outs(int outputs) => outputs + 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm
    {
        V w0 = V.Load(from), w1 = V.Load(from + fromStep), w2 = V.Load(from + 2 * fromStep);
        Pair(WinogradPoints.A, WinogradPoints.AtA, w0, w1, w2, to, toStep);
        Pair(WinogradPoints.B, WinogradPoints.AtB, w0, w1, w2, to + 2 * toStep, toStep);
        Pair(WinogradPoints.C, WinogradPoints.AtC, w0, w1, w2, to + 4 * toStep, toStep);
        if (F.Outputs == 5) V.Store(V.Create(WinogradPoints.AtZero) * w0, to + 6 * toStep);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Pair(float p, float at, V w0, V w1, V w2, float* to, long toStep) => WinogradPair.Store(V.Create(at) * V.Fma(V.Create(p * p), w2, w0), V.Create(at * p) * w1, to, toStep);
    }
}

/// <summary>The points → three weight gradients of a row (Gᵀ).</summary>
readonly unsafe struct WeightGradientTransform : ITransform
{
    public static int Ins(int outputs) => outputs + 2;
    public static int Outs(int outputs) => 3;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm
    {
        var (evenA, oddA) = WinogradPair.Of<V>(from, fromStep);
        var (evenB, oddB) = WinogradPair.Of<V>(from + 2 * fromStep, fromStep);
        var (evenC, oddC) = WinogradPair.Of<V>(from + 4 * fromStep, fromStep);
        (evenA, evenB, evenC) = (V.Create(WinogradPoints.AtA) * evenA, V.Create(WinogradPoints.AtB) * evenB, V.Create(WinogradPoints.AtC) * evenC);
        V sum = evenA + evenB + evenC;
        V.Store(F.Outputs == 5 ? V.Fma(V.Create(WinogradPoints.AtZero), V.Load(from + 6 * fromStep), sum) : sum, to);
        const float a = WinogradPoints.AtA * WinogradPoints.A, b = WinogradPoints.AtB * WinogradPoints.B, c = WinogradPoints.AtC * WinogradPoints.C;
        V.Store(V.Fma(V.Create(a), oddA, V.Fma(V.Create(b), oddB, V.Create(c) * oddC)), to + toStep);
        V.Store(V.Fma(V.Create(WinogradPoints.A2), evenA, V.Fma(V.Create(WinogradPoints.B2), evenB, V.Create(WinogradPoints.C2) * evenC)), to + 2 * toStep);
    }
}

/// How far apart rows, columns and tiles lie.
readonly record struct TileSteps(long Row, long Column, long Tile);

public sealed unsafe partial class Cpu<V>
{
    // Half-transformed tile, then a tile of outputs that the map cuts off.
    const int PatchOffset = 49 * 16, TransformFloats = PatchOffset + 25 * 16;
    // Nine taps of sixteen outputs.
    const int TapFloats = 9 * 16;

    /// <summary>T along both directions of a run of tiles of one form. `half` holds one tile between the directions.</summary>
    static void Transform<T>(bool tall, bool wide, float* from, TileSteps fromBy, float* to, TileSteps toBy, int tiles, float* half) where T : ITransform
    {
        if (tall && wide) Transform<T, Fives, Fives>(from, fromBy, to, toBy, tiles, half);
        else if (tall) Transform<T, Fives, Fours>(from, fromBy, to, toBy, tiles, half);
        else if (wide) Transform<T, Fours, Fives>(from, fromBy, to, toBy, tiles, half);
        else Transform<T, Fours, Fours>(from, fromBy, to, toBy, tiles, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void Transform<T, H, W>(float* from, TileSteps fromBy, float* to, TileSteps toBy, int tiles, float* half) where T : ITransform where H : ITileForm where W : ITileForm
    {
        for (int tile = 0; tile < tiles; tile++, from += fromBy.Tile, to += toBy.Tile)
        {
            int outs = T.Outs(W.Outputs);
            for (int row = 0; row < T.Ins(H.Outputs); row++) T.Apply<V, W>(from + row * fromBy.Row, fromBy.Column, half + row * outs * 16, 16);
            for (int column = 0; column < outs; column++) T.Apply<V, H>(half + column * 16, outs * 16, to + column * toBy.Column, toBy.Row);
        }
    }
}
