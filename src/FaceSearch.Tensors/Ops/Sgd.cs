namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// <summary>
    /// One step of stochastic gradient descent in PyTorch's form: g = gradient + weightDecay·p, v ← momentum·v + g,
    /// p ← p − rate·v, or with Nesterov p ← p − rate·(g + momentum·v). The velocity starts at 0. All of one shape; where the
    /// gradient is of some rows, the others and their velocity stay. The rate is the exchange's where there is one.
    /// </summary>
    public void Sgd(Tensor parameter, Tensor gradient, Tensor velocity, float rate, float momentum, bool nesterov, float weightDecay, StepExchange? exchange = null)
    {
        Check.Gradient(gradient, parameter);
        Check.Shape(velocity, parameter.Shape);
        SgdStep(parameter, gradient, velocity, new(rate, momentum, nesterov, weightDecay, exchange));
    }

    internal abstract void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule);
}

readonly record struct SgdRule(float Rate, float Momentum, bool Nesterov, float WeightDecay, StepExchange? Exchange = null);

public sealed partial class Meter
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule) { }
}
