namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2, in PyTorch's form): p ← p·(1 − rate·weightDecay),
    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², p ← p − rate·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).
    /// <paramref name="step"/> t counts from 1; both moments start at 0. All of one shape.
    /// </summary>
    public void AdamW(Tensor parameter, Tensor gradient, Tensor first, Tensor second, float rate, float beta1, float beta2, float epsilon, float weightDecay, int step)
    {
        Check.Shape(gradient, parameter.Shape);
        Check.Shape(first, parameter.Shape);
        Check.Shape(second, parameter.Shape);
        Check.That(step >= 1, $"step counts from 1 but is {step}");
        Check.That(epsilon > 0, $"epsilon must be above 0 but is {epsilon}");
        AdamWStep(parameter, gradient, first, second, new(
            Keep: 1 - (double)rate * weightDecay, Beta1: beta1, Beta2: beta2, Epsilon: epsilon,
            Step: rate / (1 - Math.Pow(beta1, step)), RootCorrection: 1 / Math.Sqrt(1 - Math.Pow(beta2, step))));
    }

    internal abstract void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule);
}

/// What one step needs: p ← Keep·p − Step·m / (RootCorrection·√v + ε).
readonly record struct AdamWRule(double Keep, double Beta1, double Beta2, double Epsilon, double Step, double RootCorrection);

public sealed partial class Meter
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule) { }
}
