using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        float* p = Of(parameter), g = Of(gradient), v = Of(velocity);
        ForGradient(gradient, (from, to, count) => SgdTile(p + to, g + from, v + to, count, rule));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void SgdTile(float* parameter, float* gradient, float* velocity, long n, SgdRule rule)
    {
        V decay = V.Create(rule.WeightDecay), momentum = V.Create(rule.Momentum), minusRate = V.Create(-rule.Rate);
        for (long i = 0; i < n; i += 16)
        {
            // Fewer than sixteen at the end of a row; past the end of a whole parameter there are zeros.
            int lanes = (int)Math.Min(16, n - i);
            V p = Lanes.LoadPart<V>(parameter + i, lanes), g = V.Fma(decay, p, Lanes.LoadPart<V>(gradient + i, lanes)), v = V.Fma(momentum, Lanes.LoadPart<V>(velocity + i, lanes), g);
            Lanes.StorePart(v, velocity + i, lanes);
            Lanes.StorePart(V.Fma(minusRate, rule.Nesterov ? V.Fma(momentum, v, g) : v, p), parameter + i, lanes);
        }
    }
}
