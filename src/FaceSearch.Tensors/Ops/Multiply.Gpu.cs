namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Multiply(Tensor a, Tensor b, Tensor y) => Pass(new MultiplyPoint(Map(a), Map(b), Map(y)), GpuLayout.Elements(a.Shape));

    internal override void MultiplyPlanes(Tensor a, Tensor s, Tensor y)
    {
        var rows = new GpuRows(a.Shape);
        Pass(new MultiplyPlanesCell(Map(a), Map(s), Map(y), rows, new(rows.Area)), rows);
    }

    // Padding lanes are summed as well: to zero.
    internal override void SumOfProducts(Tensor a, Tensor b, Tensor s)
    {
        var rows = new GpuRows(a.Shape);
        SumColumns(new PlaneProducts(Map(a), Map(b), rows, Map(s)), rows.Area, rows.Pitch, a.Shape.Images);
    }
}

readonly struct MultiplyPoint(MapView a, MapView b, MapView y) : IPoint
{
    public void At(long i) => y[i] = a[i] * b[i];
}

readonly struct MultiplyPlanesCell(MapView a, MapView s, MapView y, GpuRows rows, Divisor area) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = a[i] * s[rows.At(area.Quotient(row), column)];
    }
}

readonly struct PlaneProducts(MapView a, MapView b, GpuRows rows, MapView s) : IColumnSums
{
    public Sums At(int row, int column, int part)
    {
        long i = rows.At(part * rows.Area + row, column);
        return new(a[i] * b[i], 0, 0);
    }

    public void Finish(int column, int part, Sums total) => s[rows.At(part, column)] = total.A;
}
