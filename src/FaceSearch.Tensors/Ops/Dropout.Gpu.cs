using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Dropout(Tensor x, DropoutMask mask, Tensor y)
    {
        var rows = new GpuRows(x.Shape);
        if (x.Shape.IsMap) Pass(new DropoutCell(Of(x), Of(y), rows, new(rows.Area), mask), rows);
        else Pass(new DropoutPoint(Of(x), Of(y), mask), x.Shape.Count);
    }
}

readonly struct DropoutPoint(View x, View y, DropoutMask mask) : IPoint
{
    public void At(long i) => y[i] = mask.Keeps(i) ? x[i] * mask.Scale : 0;
}

/// Draws go by the row-major number of an element, wherever it lies: the same are dropped on every device.
readonly struct DropoutCell(View x, View y, GpuRows rows, Divisor area, DropoutMask mask) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        int pixel = area.Remainder(row, out int image);
        bool kept = column < rows.Columns && mask.Keeps(((long)image * rows.Columns + column) * rows.Area + pixel);
        y[i] = kept ? x[i] * mask.Scale : 0;
    }
}
