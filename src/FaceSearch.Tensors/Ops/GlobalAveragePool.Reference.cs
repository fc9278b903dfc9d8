namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void GlobalAveragePool(Tensor x, Tensor y)
    {
        int area = x.Shape.Height * x.Shape.Width;
        Of(y).Clear();
        for (int i = 0; i < x.Shape.Count; i++) Of(y)[i / area] += Of(x)[i] / area;
    }

    internal override void GlobalAveragePoolBackward(Tensor dy, Tensor dx)
    {
        int area = dx.Shape.Height * dx.Shape.Width;
        for (int i = 0; i < dx.Shape.Count; i++) Of(dx)[i] = Of(dy)[i / area] / area;
    }
}
