namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Dropout(Tensor x, DropoutMask mask, Tensor y)
    {
        for (int i = 0; i < x.Shape.Count; i++) Of(y)[i] = mask.Keeps(i) ? Of(x)[i] * mask.Scale : 0;
    }
}
