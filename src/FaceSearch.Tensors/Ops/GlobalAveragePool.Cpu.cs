using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void GlobalAveragePool(Tensor x, Tensor y)
    {
        float* from = Of(x), to = Of(y);
        ForPlanes(x.Shape, (plane, start, floats) => Average(from + start, to + 16L * plane, floats));
    }

    internal override void GlobalAveragePoolBackward(Tensor dy, Tensor dx)
    {
        float* from = Of(dy), to = Of(dx);
        ForPlanes(dx.Shape, (plane, start, floats) => Spread(from + 16L * plane, to + start, floats));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Average(float* x, float* y, int n)
    {
        V even = V.Zero, odd = V.Zero;
        int i = 0;
        for (; i + 32 <= n; i += 32)
        {
            even += V.Load(x + i);
            odd += V.Load(x + i + 16);
        }
        if (i < n) even += V.Load(x + i);
        V.Store((even + odd) / V.Create(n / 16), y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Spread(float* dy, float* dx, int n)
    {
        V d = V.Load(dy) / V.Create(n / 16);
        for (int i = 0; i < n; i += 16) V.Store(d, dx + i);
    }
}
