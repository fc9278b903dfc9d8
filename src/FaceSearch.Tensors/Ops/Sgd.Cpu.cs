using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), v = Of(velocity);
        ForGradient(gradient, (from, to, count) =>
        {
            if (count < 16) SgdTile<Part>(p + to, g + from, v + to, count, rule);
            else SgdTile<Whole>(p + to, g + from, v + to, count, rule);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void SgdTile<R>(float* parameter, float* gradient, float* velocity, long n, SgdRule rule) where R : struct, IReach
    {
        V decay = V.Create(rule.WeightDecay), momentum = V.Create(rule.Momentum), minusRate = V.Create(-rule.Rate);
        int lanes = (int)Math.Min(16, n);
        for (long i = 0; i < n; i += 16)
        {
            V p = R.Load<V>(parameter + i, lanes), g = V.Fma(decay, p, R.Load<V>(gradient + i, lanes)), v = V.Fma(momentum, R.Load<V>(velocity + i, lanes), g);
            R.Store(v, velocity + i, lanes);
            R.Store(V.Fma(minusRate, rule.Nesterov ? V.Fma(momentum, v, g) : v, p), parameter + i, lanes);
        }
    }
}
