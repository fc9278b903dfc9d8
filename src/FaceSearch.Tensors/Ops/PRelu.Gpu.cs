using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope)
    {
        var rows = new GpuRows(x.Shape);
        SumColumns(new SlopeGradient(Map(x), Map(dy), rows, Of(dslope)), rows.Rows, rows.Columns);
        Pass(new PReluBackwardCell(Map(x), Of(slope), Map(dy), Map(dx), rows), rows);
    }
}

readonly struct PReluBackwardCell(MapView x, View slope, MapView dy, MapView dx, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        dx[i] = x[i] > 0 || column >= rows.Columns ? dy[i] : slope[column] * dy[i];
    }
}

readonly struct SlopeGradient(MapView x, MapView dy, GpuRows rows, View dslope) : IColumnSums
{
    public Sums At(int row, int column, int part)
    {
        long i = rows.At(row, column);
        return new(x[i] > 0 ? 0 : x[i] * dy[i], 0, 0);
    }

    public void Finish(int column, int part, Sums total) => dslope[column] = total.A;
}
