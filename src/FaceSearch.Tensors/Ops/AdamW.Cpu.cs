using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), m = Of(first), v = Of(second);
        ForGradient(gradient, (from, to, count) => AdamWTile(p + to, g + from, m + to, v + to, count, rule));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AdamWTile(float* parameter, float* gradient, float* first, float* second, long n, AdamWRule rule)
    {
        V keep = V.Create((float)rule.Keep), rest1 = V.Create((float)(1 - rule.Beta1)), rest2 = V.Create((float)(1 - rule.Beta2));
        V epsilon = V.Create((float)rule.Epsilon), minusStep = V.Create((float)-rule.Step), root = V.Create((float)rule.RootCorrection);
        for (long i = 0; i < n; i += 16)
        {
            int lanes = (int)Math.Min(16, n - i);
            V g = Lanes.LoadPart<V>(gradient + i, lanes), m = Lanes.LoadPart<V>(first + i, lanes), v = Lanes.LoadPart<V>(second + i, lanes);
            m = V.Fma(rest1, g - m, m);
            v = V.Fma(rest2, V.Fma(g, g, V.Zero - v), v);
            Lanes.StorePart(m, first + i, lanes);
            Lanes.StorePart(v, second + i, lanes);
            Lanes.StorePart(V.Fma(minusStep, m / V.Fma(root, V.Sqrt(v), epsilon), keep * Lanes.LoadPart<V>(parameter + i, lanes)), parameter + i, lanes);
        }
    }
}
