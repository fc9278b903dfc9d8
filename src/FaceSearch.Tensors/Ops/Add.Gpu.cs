using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Add(Tensor a, Tensor b, Tensor y)
    {
        if (a.Deferred is null && b.Deferred is null) Pass(new AddPoint(Of(a), Of(b), Of(y)), GpuLayout.Floats(y.Shape));
        else Pass(new AddCell(Load(a), Load(b), Of(y), new(y.Shape)), new GpuRows(y.Shape));
    }

    internal override void Copy(Tensor x, Tensor y) => Pass(new CopyPoint(Of(x), Of(y)), GpuLayout.Floats(y.Shape));
}

readonly struct AddPoint(View a, View b, View y) : IPoint
{
    public void At(long i) => y[i] = a[i] + b[i];
}

/// Where a side is deferred.
readonly struct AddCell(MapLoad a, MapLoad b, View y, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = column < rows.Columns ? a.At(i, column) + b.At(i, column) : 0;
    }
}
