namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2, in PyTorch's form): p ← p·(1 − rate·weightDecay),
    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², p ← p − rate·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ).
    /// <paramref name="step"/> t counts from 1; both moments start at 0. All of one shape; where the gradient is of some rows, the
    /// others and their moments stay. What depends on rate and step is the exchange's where there is one.
    /// </summary>
    public void AdamW(Tensor parameter, Tensor gradient, Tensor first, Tensor second, float rate, float beta1, float beta2, float epsilon, float weightDecay, int step, StepExchange? exchange = null)
    {
        Check.Gradient(gradient, parameter);
        Check.Shape(first, parameter.Shape);
        Check.Shape(second, parameter.Shape);
        Check.That(step >= 1, $"step counts from 1 but is {step}");
        Check.That(epsilon > 0, $"epsilon must be above 0 but is {epsilon}");
        var (keep, size, root) = AdamWFactors(rate, beta1, beta2, weightDecay, step);
        AdamWStep(parameter, gradient, first, second, new(keep, beta1, beta2, epsilon, size, root, exchange));
    }

    /// <summary>What changes from step to step: 1 − rate·weightDecay, rate/(1 − β₁ᵗ) and 1/√(1 − β₂ᵗ).</summary>
    public static (double Keep, double Step, double Root) AdamWFactors(float rate, float beta1, float beta2, float weightDecay, int step) =>
        (1 - (double)rate * weightDecay, rate / (1 - Math.Pow(beta1, step)), 1 / Math.Sqrt(1 - Math.Pow(beta2, step)));

    internal abstract void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule);
}

/// What one step needs: p ← Keep·p − Step·m / (RootCorrection·√v + ε).
readonly record struct AdamWRule(double Keep, double Beta1, double Beta2, double Epsilon, double Step, double RootCorrection, StepExchange? Exchange = null);

public sealed partial class Meter
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule) { }
}
