namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Add(Tensor a, Tensor b, Tensor y)
    {
        if (a.Deferred is null && b.Deferred is null) Pass(new AddPoint(Map(a), Map(b), Map(y)), GpuLayout.Elements(y.Shape));
        else Pass(new AddCell(Load(a), Load(b), Map(y), new(y.Shape)), new GpuRows(y.Shape));
    }

    internal override void Copy(Tensor x, Tensor y)
    {
        var memory = Map(x).Memory;
        Pass(new CopyPoint(memory, Map(y).Memory), memory.Length);
    }
}

readonly struct AddPoint(MapView a, MapView b, MapView y) : IPoint
{
    public void At(long i) => y[i] = a[i] + b[i];
}

/// Where a side is deferred.
readonly struct AddCell(MapLoad a, MapLoad b, MapView y, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = column < rows.Columns ? a.At(i, column) + b.At(i, column) : 0;
    }
}
