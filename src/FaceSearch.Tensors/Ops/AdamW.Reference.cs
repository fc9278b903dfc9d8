namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule)
    {
        for (int n = 0; n < gradient.Shape.Count; n++)
        {
            int i = PlaceOf(gradient, n);
            double g = Of(gradient)[n];
            double m = Of(first)[i] += (1 - rule.Beta1) * (g - Of(first)[i]);
            double v = Of(second)[i] += (1 - rule.Beta2) * (g * g - Of(second)[i]);
            Of(parameter)[i] = rule.Keep * Of(parameter)[i] - rule.Step * m / (rule.RootCorrection * Math.Sqrt(v) + rule.Epsilon);
        }
    }
}
