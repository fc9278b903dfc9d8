namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    // Padding lanes are averaged as well: to zero.
    internal override void GlobalAveragePool(Tensor x, Tensor y)
    {
        var rows = new GpuRows(x.Shape);
        SumColumns(new PlaneAverage(Map(x), rows, Map(y)), rows.Area, rows.Pitch, x.Shape.Images);
    }

    internal override void GlobalAveragePoolBackward(Tensor dy, Tensor dx)
    {
        var rows = new GpuRows(dx.Shape);
        Pass(new SpreadCell(Map(dy), Map(dx), rows, new(rows.Area)), rows);
    }
}

readonly struct PlaneAverage(MapView x, GpuRows rows, MapView y) : IColumnSums
{
    public Sums At(int row, int column, int part) => new(x[rows.At(part * rows.Area + row, column)], 0, 0);
    public void Finish(int column, int part, Sums total) => y[rows.At(part, column)] = total.A / rows.Area;
}

readonly struct SpreadCell(MapView dy, MapView dx, GpuRows rows, Divisor area) : ICell
{
    public void At(int row, int column) => dx[rows.At(row, column)] = dy[rows.At(area.Quotient(row), column)] / rows.Area;
}
