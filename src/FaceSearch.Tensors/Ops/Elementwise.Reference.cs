namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Unary<F>(Tensor x, Tensor y)
    {
        for (int i = 0; i < x.Shape.Count; i++) Of(y)[i] = F.Apply(Of(x)[i]);
    }

    internal override void UnaryBackward<F>(Tensor x, Tensor dy, Tensor dx)
    {
        for (int i = 0; i < x.Shape.Count; i++) Of(dx)[i] = F.Backward(Of(x)[i], Of(dy)[i]);
    }
}
