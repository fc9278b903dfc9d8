namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Multiply(Tensor a, Tensor b, Tensor y)
    {
        for (int i = 0; i < a.Shape.Count; i++) Of(y)[i] = Of(a)[i] * Of(b)[i];
    }

    internal override void MultiplyPlanes(Tensor a, Tensor s, Tensor y)
    {
        int area = a.Shape.Height * a.Shape.Width;
        for (int i = 0; i < a.Shape.Count; i++) Of(y)[i] = Of(a)[i] * Of(s)[i / area];
    }

    internal override void SumOfProducts(Tensor a, Tensor b, Tensor s)
    {
        int area = a.Shape.Height * a.Shape.Width;
        Of(s).Clear();
        for (int i = 0; i < a.Shape.Count; i++) Of(s)[i / area] += Of(a)[i] * Of(b)[i];
    }
}
