using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), m = Of(first), v = Of(second);
        ForGradient(gradient, (from, to, count) =>
        {
            if (count < 16) AdamWTile<Part>(p + to, g + from, m + to, v + to, count, rule);
            else AdamWTile<Whole>(p + to, g + from, m + to, v + to, count, rule);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AdamWTile<R>(float* parameter, float* gradient, float* first, float* second, long n, AdamWRule rule) where R : struct, IReach
    {
        V keep = V.Create((float)rule.Keep), rest1 = V.Create((float)(1 - rule.Beta1)), rest2 = V.Create((float)(1 - rule.Beta2));
        V epsilon = V.Create((float)rule.Epsilon), minusStep = V.Create((float)-rule.Step), root = V.Create((float)rule.RootCorrection);
        int lanes = (int)Math.Min(16, n);
        for (long i = 0; i < n; i += 16)
        {
            V g = R.Load<V>(gradient + i, lanes), m = R.Load<V>(first + i, lanes), v = R.Load<V>(second + i, lanes);
            m = V.Fma(rest1, g - m, m);
            v = V.Fma(rest2, V.Fma(g, g, V.Zero - v), v);
            R.Store(m, first + i, lanes);
            R.Store(v, second + i, lanes);
            R.Store(V.Fma(minusStep, m / V.Fma(root, V.Sqrt(v), epsilon), keep * R.Load<V>(parameter + i, lanes)), parameter + i, lanes);
        }
    }
}
