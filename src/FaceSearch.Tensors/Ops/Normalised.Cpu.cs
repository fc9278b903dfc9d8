using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>How a copy has a pixel of sixteen channels, and how many floats further lies the next.</summary>
unsafe interface IPixels<V> where V : struct, ILanes<V>
{
    static abstract int Floats { get; }
    V Load(float* p);
}

/// <summary>Of a map of three channels as it came from the host: planes of so many floats.</summary>
readonly unsafe struct ThreePlanes<V>(long area) : IPixels<V> where V : struct, ILanes<V>
{
    public static int Floats => 1;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public V Load(float* p) => V.Create(p[0], p[area], p[2 * area]);
}

/// <summary>What a kernel does to sixteen channels of a pixel as it loads them, or before it stores them: a type parameter, so that nothing costs nothing.</summary>
interface IOnLoad<V> : IPixels<V> where V : struct, ILanes<V>
{
    V Apply(V x);

    /// The same where the gradient d of the result is at hand: adds what the gradient of the norm is made of (<see cref="Normalised"/>):
    /// h = d·act', h·(x − mean), and what the slope gets.
    V Apply(V x, V d, ref V h, ref V along, ref V ofSlope);
}

readonly unsafe struct AsItIs<V> : IOnLoad<V> where V : struct, ILanes<V>
{
    public static int Floats => CpuLayout.Lanes;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public V Load(float* p) => V.Load(p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public V Apply(V x) => x;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public V Apply(V x, V d, ref V h, ref V along, ref V ofSlope) => x;
}

/// <summary>
/// act(scale·(x − mean) + β) for one block of channels. The mean is taken off first: folded into β it would cost the
/// digits that a mean far above the deviation has. Lanes past the last channel give 0, as all their values are 0.
/// </summary>
readonly unsafe struct NormaliseOnLoad<V> : IOnLoad<V> where V : struct, ILanes<V>
{
    readonly V mean, scale, beta, slope;

    public static int Floats => CpuLayout.Lanes;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public V Load(float* p) => Apply(V.Load(p));

    public NormaliseOnLoad(Normalised x, int block)
    {
        int c = 16 * block;
        mean = V.Load(Cpu<V>.Of(x.Mean) + c);
        scale = V.Load(Cpu<V>.Of(x.Gamma) + c) * V.Load(Cpu<V>.Of(x.Inverse) + c);
        beta = V.Load(Cpu<V>.Of(x.Beta) + c);
        slope = x.Slope is null ? V.Create(1) : V.Load(Cpu<V>.Of(x.Slope) + c);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Apply(V x)
    {
        V v = V.Fma(x - mean, scale, beta);
        return V.IfPositive(v, v, slope * v);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public V Apply(V x, V d, ref V h, ref V along, ref V ofSlope)
    {
        V offset = x - mean, v = V.Fma(offset, scale, beta), g = V.IfPositive(v, d, slope * d);
        h += g;
        along = V.Fma(g, offset, along);
        ofSlope += V.IfPositive(v, V.Zero, v * d);
        return V.IfPositive(v, v, slope * v);
    }
}

public sealed unsafe partial class Cpu<V>
{
    internal override void Normalise(Normalised x, Tensor y)
    {
        var view = new Channels(y.Shape);
        float* from = Of(x.Source), to = Of(y);
        workers.Run(view.Tiles, (tile, _) =>
        {
            var load = new NormaliseOnLoad<V>(x, view.Block(tile));
            if (view.Lanes(view.Block(tile)) == 16) NormaliseTile<Whole>(view, tile, from, load, to);
            else NormaliseTile<Part>(view, tile, from, load, to);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void NormaliseTile<R>(Channels view, int tile, float* x, NormaliseOnLoad<V> load, float* y) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = y + view.Offset(n, block);
            for (int i = 0; i < pixels; i++, p += stride, q += stride) R.Store(load.Apply(R.Load<V>(p, lanes)), q, lanes);
        }
    }
}
