using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), m = Of(first), v = Of(second);
        ForFloats(parameter.Shape, (start, end) => AdamWTile(p + start, g + start, m + start, v + start, end - start, rule));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AdamWTile(float* parameter, float* gradient, float* first, float* second, long n, AdamWRule rule)
    {
        V keep = V.Create((float)rule.Keep), rest1 = V.Create((float)(1 - rule.Beta1)), rest2 = V.Create((float)(1 - rule.Beta2));
        V epsilon = V.Create((float)rule.Epsilon), minusStep = V.Create((float)-rule.Step), root = V.Create((float)rule.RootCorrection);
        for (long i = 0; i < n; i += 16)
        {
            V g = V.Load(gradient + i), m = V.Load(first + i), v = V.Load(second + i);
            m = V.Fma(rest1, g - m, m);
            v = V.Fma(rest2, V.Fma(g, g, V.Zero - v), v);
            V.Store(m, first + i);
            V.Store(v, second + i);
            V.Store(V.Fma(minusStep, m / V.Fma(root, V.Sqrt(v), epsilon), keep * V.Load(parameter + i)), parameter + i);
        }
    }
}
