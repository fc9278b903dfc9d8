using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), v = Of(velocity);
        ForFloats(parameter.Shape, (start, end) => SgdTile(p + start, g + start, v + start, end - start, rule));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void SgdTile(float* parameter, float* gradient, float* velocity, long n, SgdRule rule)
    {
        V decay = V.Create(rule.WeightDecay), momentum = V.Create(rule.Momentum), minusRate = V.Create(-rule.Rate);
        for (long i = 0; i < n; i += 16)
        {
            V p = V.Load(parameter + i), g = V.Fma(decay, p, V.Load(gradient + i)), v = V.Fma(momentum, V.Load(velocity + i), g);
            V.Store(v, velocity + i);
            V.Store(V.Fma(minusRate, rule.Nesterov ? V.Fma(momentum, v, g) : v, p), parameter + i);
        }
    }
}
