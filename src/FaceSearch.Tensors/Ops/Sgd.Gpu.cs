using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule) =>
        Pass(new SgdPoint(Of(parameter), Of(gradient), Of(velocity), new(rule, hasVelocity: true)), GpuLayout.Floats(parameter.Shape));
}

/// <summary>Both forms of the step as one: p ← p − rate·(ofGradient·g + ofVelocity·v).</summary>
readonly struct SgdFactors(SgdRule rule, bool hasVelocity)
{
    readonly float rate = rule.Rate, momentum = rule.Momentum, weightDecay = rule.WeightDecay;
    readonly float ofGradient = rule.Nesterov ? 1 : 0, ofVelocity = rule.Nesterov ? rule.Momentum : 1;
    readonly int hasVelocity = hasVelocity ? 1 : 0;

    /// The step of element i, where the gradient is `gradient`.
    public void Step(View parameter, View velocity, long i, float gradient)
    {
        float p = parameter[i], g = GpuMath.MultiplyAdd(weightDecay, p, gradient), v = g;
        if (hasVelocity != 0) velocity[i] = v = GpuMath.MultiplyAdd(momentum, velocity[i], g);
        parameter[i] = p - rate * (ofGradient * g + ofVelocity * v);
    }
}

readonly struct SgdPoint(View parameter, View gradient, View velocity, SgdFactors factors) : IPoint
{
    public void At(long i) => factors.Step(parameter, velocity, i, gradient[i]);
}
