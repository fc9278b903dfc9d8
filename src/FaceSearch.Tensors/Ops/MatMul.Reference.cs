namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        int m = c.Shape.Rows, n = c.Shape.Cols, depth = transposeA ? a.Shape.Rows : a.Shape.Cols;
        Span<double> p = Of(a), q = Of(b), to = Of(c);
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
            {
                double sum = 0;
                for (int k = 0; k < depth; k++) sum += p[transposeA ? k * m + i : i * depth + k] * q[transposeB ? j * depth + k : k * n + j];
                to[i * n + j] = sum;
            }
    }
}
