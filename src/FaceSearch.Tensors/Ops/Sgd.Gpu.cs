using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        using var numbers = NumbersOf(rule.Exchange, new() { Rate = rule.Rate });
        Pass(new SgdPoint(Of(parameter), Of(gradient), Of(velocity), Of(numbers), new(rule, hasVelocity: true), new(gradient, gradient.OfRows)), GpuLayout.Elements(gradient.Shape));
    }
}

/// <summary>Both forms of the step as one: p ← p − rate·(ofGradient·g + ofVelocity·v), ofGradient 1 for Nesterov's and 0 for the other.</summary>
readonly struct SgdFactors(SgdRule rule, bool hasVelocity)
{
    readonly float momentum = rule.Momentum, weightDecay = rule.WeightDecay, ofGradient = rule.Nesterov ? 1 : 0;
    readonly int hasVelocity = hasVelocity ? 1 : 0;

    /// The step of element i, where the gradient is `gradient`.
    public void Step(View parameter, View velocity, long i, float gradient, float rate)
    {
        float ofVelocity = ofGradient != 0 ? momentum : 1;
        float p = parameter[i], g = GpuMath.MultiplyAdd(weightDecay, p, gradient), v = g;
        if (hasVelocity != 0) velocity[i] = v = GpuMath.MultiplyAdd(momentum, velocity[i], g);
        parameter[i] = p - rate * (ofGradient * g + ofVelocity * v);
    }
}

readonly struct SgdPoint(View parameter, View gradient, View velocity, View numbers, SgdFactors factors, GpuRowIndex rows) : IPoint
{
    public void At(long i)
    {
        float factor = numbers[GpuNumbers.Factor];
        if (factor >= 0) factors.Step(parameter, velocity, rows.At(i), factor * gradient[i], numbers[GpuNumbers.Rate]);
    }
}
