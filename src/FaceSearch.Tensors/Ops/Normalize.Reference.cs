namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Normalize(Tensor x, Tensor y, Tensor norms)
    {
        for (int r = 0; r < x.Shape.Rows; r++)
        {
            double sum = 0;
            foreach (double v in Row(x, r)) sum += v * v;
            double norm = Of(norms)[r] = Math.Sqrt(sum);
            for (int c = 0; c < x.Shape.Cols; c++) Row(y, r)[c] = norm > 0 ? Row(x, r)[c] / norm : 0;
        }
    }

    internal override void NormalizeBackward(Tensor y, Tensor norms, Tensor dy, Tensor dx)
    {
        for (int r = 0; r < y.Shape.Rows; r++)
        {
            double dot = 0, norm = Of(norms)[r];
            for (int c = 0; c < y.Shape.Cols; c++) dot += Row(y, r)[c] * Row(dy, r)[c];
            for (int c = 0; c < y.Shape.Cols; c++) Row(dx, r)[c] = norm > 0 ? (Row(dy, r)[c] - dot * Row(y, r)[c]) / norm : 0;
        }
    }
}
