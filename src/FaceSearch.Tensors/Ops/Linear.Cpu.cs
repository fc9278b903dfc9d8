namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void AddToRows(Tensor y, Tensor vector) => ForRows(y.Shape, r =>
    {
        int cols = y.Shape.Cols;
        float* row = Of(y) + (long)r * cols, add = Of(vector);
        for (int c = 0; c < cols; c += 16) Lanes.StorePart(Lanes.LoadPart<V>(row + c, cols - c) + V.Load(add + c), row + c, cols - c);
    });

    internal override void SumRows(Tensor x, Tensor vector)
    {
        int rows = x.Shape.Rows, cols = x.Shape.Cols;
        float* from = Of(x), to = Of(vector);
        workers.Run((cols + 15) / 16, (tile, _) =>
        {
            V sum = V.Zero;
            for (int r = 0; r < rows; r++) sum += Lanes.LoadPart<V>(from + (long)r * cols + 16 * tile, cols - 16 * tile);
            V.Store(sum, to + 16 * tile);
        });
    }
}
