namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Add(Tensor a, Tensor b, Tensor y)
    {
        for (int i = 0; i < a.Shape.Count; i++) Of(y)[i] = Of(a)[i] + Of(b)[i];
    }

    internal override void Copy(Tensor x, Tensor y) => Of(x).CopyTo(Of(y));
}
