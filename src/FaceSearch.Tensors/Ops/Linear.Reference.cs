namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void AddToRows(Tensor y, Tensor vector)
    {
        for (int r = 0; r < y.Shape.Rows; r++)
            for (int c = 0; c < y.Shape.Cols; c++) Row(y, r)[c] += Of(vector)[c];
    }

    internal override void SumRows(Tensor x, Tensor vector)
    {
        Of(vector).Clear();
        for (int r = 0; r < x.Shape.Rows; r++)
            for (int c = 0; c < x.Shape.Cols; c++) Of(vector)[c] += Row(x, r)[c];
    }
}
