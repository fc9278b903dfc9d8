namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        for (int i = 0; i < parameter.Shape.Count; i++)
        {
            double g = Of(gradient)[i] + rule.WeightDecay * Of(parameter)[i];
            double v = Of(velocity)[i] = rule.Momentum * Of(velocity)[i] + g;
            Of(parameter)[i] -= rule.Rate * (rule.Nesterov ? g + rule.Momentum * v : v);
        }
    }
}
