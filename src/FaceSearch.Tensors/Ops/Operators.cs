using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// An elementwise function of one variable, written once for the reference, once for the lanes of every CPU and once for a
/// thread of a GPU. A NaN must survive it, or the NaN guard is blind; f(0) is only asked to be 0 where <see cref="KeepsZero"/> says so.
/// </summary>
interface IUnary
{
    static abstract string Name { get; }
    static abstract int Flops { get; }
    /// f(0) = 0, so that the padding lanes of a map need no care.
    static abstract bool KeepsZero { get; }
    static abstract double Apply(double x);
    static abstract V Apply<V>(V x) where V : struct, ILanes<V>;
    static abstract float ApplyOne(float x);
    /// dy·f'(x)
    static abstract double Backward(double x, double dy);
    static abstract V Backward<V>(V x, V dy) where V : struct, ILanes<V>;
    static abstract float BackwardOne(float x, float dy);
}

/// max(x, 0), with derivative 0 at 0.
readonly struct Relu : IUnary
{
    public static string Name => "relu";
    public static int Flops => 1;
    public static bool KeepsZero => true;
    public static double Apply(double x) => x < 0 ? 0 : x;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x) where V : struct, ILanes<V> => V.IfPositive(V.Zero - x, V.Zero, x);
    public static float ApplyOne(float x) => x < 0 ? 0 : x;
    public static double Backward(double x, double dy) => x > 0 ? dy : 0;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Backward<V>(V x, V dy) where V : struct, ILanes<V> => V.IfPositive(x, dy, V.Zero);
    public static float BackwardOne(float x, float dy) => x > 0 ? dy : 0;
}

/// σ(x) = 1 / (1 + e⁻ˣ)
readonly struct Sigmoid : IUnary
{
    public static string Name => "sigmoid";
    public static int Flops => 4;
    public static bool KeepsZero => false;
    public static double Apply(double x) => 1 / (1 + Math.Exp(-x));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x) where V : struct, ILanes<V> => V.Create(1) / (V.Create(1) + Lanes.Exp(V.Zero - x));
    public static float ApplyOne(float x) => 1 / (1 + GpuMath.Exp(-x));

    public static double Backward(double x, double dy)
    {
        double s = Apply(x);
        return dy * s * (1 - s);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Backward<V>(V x, V dy) where V : struct, ILanes<V>
    {
        V s = Apply(x);
        return dy * (s * (V.Create(1) - s));
    }

    public static float BackwardOne(float x, float dy)
    {
        float s = ApplyOne(x);
        return dy * (s * (1 - s));
    }
}

/// x·σ(x) (Ramachandran, Zoph, Le 2017; also called SiLU)
readonly struct Swish : IUnary
{
    public static string Name => "swish";
    public static int Flops => 5;
    public static bool KeepsZero => true;
    public static double Apply(double x) => x * Sigmoid.Apply(x);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Apply<V>(V x) where V : struct, ILanes<V> => x * Sigmoid.Apply(x);
    public static float ApplyOne(float x) => x * Sigmoid.ApplyOne(x);

    public static double Backward(double x, double dy)
    {
        double s = Sigmoid.Apply(x);
        return dy * s * (1 + x * (1 - s));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Backward<V>(V x, V dy) where V : struct, ILanes<V>
    {
        V s = Sigmoid.Apply(x);
        return dy * s * V.Fma(x, V.Create(1) - s, V.Create(1));
    }

    public static float BackwardOne(float x, float dy)
    {
        float s = Sigmoid.ApplyOne(x);
        return dy * s * GpuMath.MultiplyAdd(x, 1 - s, 1);
    }
}
