using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void AddToRows(Tensor y, Tensor vector) => Pass(new AddToRowsCell(Of(y), Of(vector), new(y.Shape)), new GpuRows(y.Shape));

    internal override void SumRows(Tensor x, Tensor vector)
    {
        var rows = new GpuRows(x.Shape);
        SumColumns(new RowSum(Of(x), rows, Of(vector)), rows.Rows, rows.Columns);
    }
}

readonly struct AddToRowsCell(View y, View vector, GpuRows rows) : ICell
{
    public void At(int row, int column) => y[rows.At(row, column)] += vector[column];
}

readonly struct RowSum(View x, GpuRows rows, View vector) : IColumnSums
{
    public Sums At(int row, int column, int part) => new(x[rows.At(row, column)], 0, 0);
    public void Finish(int column, int part, Sums total) => vector[column] = total.A;
}
