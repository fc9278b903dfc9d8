using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    // Padding lanes are averaged as well: to zero.
    internal override void GlobalAveragePool(Tensor x, Tensor y)
    {
        var rows = new GpuRows(x.Shape);
        SumColumns(new PlaneAverage(Of(x), rows, Of(y)), rows.Area, rows.Pitch, x.Shape.Images);
    }

    internal override void GlobalAveragePoolBackward(Tensor dy, Tensor dx)
    {
        var rows = new GpuRows(dx.Shape);
        Pass(new SpreadCell(Of(dy), Of(dx), rows, new(rows.Area)), rows);
    }
}

readonly struct PlaneAverage(View x, GpuRows rows, View y) : IColumnSums
{
    public Sums At(int row, int column, int part) => new(x[rows.At(part * rows.Area + row, column)], 0, 0);
    public void Finish(int column, int part, Sums total) => y[rows.At(part, column)] = total.A / rows.Area;
}

readonly struct SpreadCell(View dy, View dx, GpuRows rows, Divisor area) : ICell
{
    public void At(int row, int column) => dx[rows.At(row, column)] = dy[rows.At(area.Quotient(row), column)] / rows.Area;
}
