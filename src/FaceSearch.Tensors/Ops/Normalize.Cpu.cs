namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Normalize(Tensor x, Tensor y, Tensor norms) => ForRows(x.Shape, r =>
    {
        int cols = x.Shape.Cols;
        float* from = Of(x) + (long)r * cols;
        float norm = Of(norms)[r] = MathF.Sqrt(Dot(from, from, cols));
        var scale = V.Create(norm > 0 ? 1 / norm : 0);
        for (int c = 0; c < cols; c += 16) Lanes.StorePart(Lanes.LoadPart<V>(from + c, cols - c) * scale, Of(y) + (long)r * cols + c, cols - c);
    });

    internal override void NormalizeBackward(Tensor y, Tensor norms, Tensor dy, Tensor dx) => ForRows(y.Shape, r =>
    {
        int cols = y.Shape.Cols;
        long row = (long)r * cols;
        float norm = Of(norms)[r];
        V dot = V.Create(-Dot(Of(y) + row, Of(dy) + row, cols)), scale = V.Create(norm > 0 ? 1 / norm : 0);
        for (int c = 0; c < cols; c += 16)
        {
            var d = V.Fma(dot, Lanes.LoadPart<V>(Of(y) + row + c, cols - c), Lanes.LoadPart<V>(Of(dy) + row + c, cols - c));
            Lanes.StorePart(d * scale, Of(dx) + row + c, cols - c);
        }
    });

    /// Runs over the rows of a matrix, several to a tile.
    void ForRows(Shape shape, Action<int> row)
    {
        int perTile = Math.Max(1, TileFloats / shape.Cols);
        workers.Run((shape.Rows + perTile - 1) / perTile, (tile, _) =>
        {
            for (int r = tile * perTile; r < Math.Min(shape.Rows, (tile + 1) * perTile); r++) row(r);
        });
    }

    static float Dot(float* a, float* b, int n)
    {
        V s = V.Zero, t = V.Zero;
        int i = 0;
        for (; i + 32 <= n; i += 32)
        {
            V.AddProduct(ref s, V.Load(a + i), V.Load(b + i));
            V.AddProduct(ref t, V.Load(a + i + 16), V.Load(b + i + 16));
        }
        for (; i < n; i += 16) V.AddProduct(ref s, Lanes.LoadPart<V>(a + i, n - i), Lanes.LoadPart<V>(b + i, n - i));
        return V.Sum(s + t);
    }
}
