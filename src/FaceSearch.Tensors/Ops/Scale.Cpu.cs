using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    public override void Scale(Tensor x, float factor)
    {
        float* p = Of(x);
        ForFloats(x.Shape, (start, end) => ScaleTile(p + start, end - start, factor));
    }

    public override double SumOfSquares(Tensor x)
    {
        int tiles = (int)((CpuLayout.Floats(x.Shape) + TileFloats - 1) / TileFloats);
        float* p = Of(x), partials = Scratch(0, tiles);
        ForFloats(x.Shape, (start, end) => partials[start / TileFloats] = Dot(p + start, p + start, (int)(end - start)));
        double sum = 0;
        for (int i = 0; i < tiles; i++) sum += partials[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void ScaleTile(float* x, long n, float factor)
    {
        V f = V.Create(factor);
        for (long i = 0; i < n; i += 16) V.Store(V.Load(x + i) * f, x + i);
    }
}
