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
/// Kernels get it as an argument and copy that into a local: only so does the compiler keep it in registers.
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
        V.AddProduct(ref along, g, offset);
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
        ForPlanes(view, null, 0, (block, at, _) =>
        {
            var load = new NormaliseOnLoad<V>(x, block);
            if (view.Lanes(block) == 16) NormalisePlane<Whole>(view, block, from + at, load, to + at);
            else NormalisePlane<Part>(view, block, from + at, load, to + at);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void NormalisePlane<R>(Channels view, int block, float* x, NormaliseOnLoad<V> norm, float* y) where R : struct, IReach
    {
        int lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride;
        var load = norm;
        for (int i = 0; i < pixels; i++, x += stride, y += stride) R.Store(load.Apply(R.Load<V>(x, lanes)), y, lanes);
    }
}
