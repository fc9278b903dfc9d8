namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Add(Tensor a, Tensor b, Tensor y) => Settled(a, left => Settled(b, right =>
    {
        for (int i = 0; i < a.Shape.Count; i++) Of(y)[i] = Of(left)[i] + Of(right)[i];
    }));

    internal override void Copy(Tensor x, Tensor y) => Of(x).CopyTo(Of(y));
}
