namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Unary<F>(Tensor x, Tensor y)
    {
        if (F.KeepsZero || !x.Shape.IsMap) Pass(new UnaryPoint<F>(Map(x), Map(y)), GpuLayout.Elements(x.Shape));
        else Pass(new UnaryCell<F>(Map(x), Map(y), new(x.Shape)), new GpuRows(x.Shape));
    }

    // Padding lanes of dy are zero, and so is their product with f'.
    internal override void UnaryBackward<F>(Tensor x, Tensor dy, Tensor dx) =>
        Pass(new UnaryBackwardPoint<F>(Map(x), Map(dy), Map(dx)), GpuLayout.Elements(x.Shape));
}

readonly struct UnaryPoint<F>(MapView x, MapView y) : IPoint where F : struct, IUnary
{
    public void At(long i) => y[i] = F.ApplyOne(x[i]);
}

/// For functions that are not 0 at 0: padding lanes are cleared.
readonly struct UnaryCell<F>(MapView x, MapView y, GpuRows rows) : ICell where F : struct, IUnary
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = column < rows.Columns ? F.ApplyOne(x[i]) : 0;
    }
}

readonly struct UnaryBackwardPoint<F>(MapView x, MapView dy, MapView dx) : IPoint where F : struct, IUnary
{
    public void At(long i) => dx[i] = F.BackwardOne(x[i], dy[i]);
}
