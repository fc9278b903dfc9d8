namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void SgdStep(Tensor parameter, Tensor gradient, Tensor velocity, SgdRule rule)
    {
        for (int n = 0; n < gradient.Shape.Count; n++)
        {
            int i = PlaceOf(gradient, n);
            double g = Of(gradient)[n] + rule.WeightDecay * Of(parameter)[i];
            double v = Of(velocity)[i] = rule.Momentum * Of(velocity)[i] + g;
            Of(parameter)[i] -= rule.Rate * (rule.Nesterov ? g + rule.Momentum * v : v);
        }
    }
}
