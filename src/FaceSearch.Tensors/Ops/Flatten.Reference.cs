namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Flatten(Tensor map, Tensor matrix) => Of(map).CopyTo(Of(matrix));
    internal override void Unflatten(Tensor matrix, Tensor map) => Of(matrix).CopyTo(Of(map));
}
