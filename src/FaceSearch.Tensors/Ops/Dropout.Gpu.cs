using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Dropout(Tensor x, DropoutMask mask, Tensor y)
    {
        var rows = new GpuRows(x.Shape);
        using var numbers = NumbersOf(mask.Exchange, new() { Step = mask.Step });
        var draws = new DropoutDraws(GpuNumbers.Words(Of(numbers)), mask.Seed, mask.Rate, mask.Scale);
        if (x.Shape.IsMap) Pass(new DropoutCell(Map(x), Map(y), rows, new(rows.Area), draws), rows);
        else Pass(new DropoutPoint(Of(x), Of(y), draws), x.Shape.Count);
    }
}

/// <summary>A <see cref="DropoutMask"/> whose step is read where it changes.</summary>
readonly struct DropoutDraws(ILGPU.ArrayView<ulong> numbers, ulong seed, float rate, float scale)
{
    public float Scale => scale;
    public bool Keeps(long element) => Noise.Uniform(seed, numbers[GpuNumbers.Step / 2], (ulong)element) >= rate;
}

readonly struct DropoutPoint(View x, View y, DropoutDraws mask) : IPoint
{
    public void At(long i) => y[i] = mask.Keeps(i) ? x[i] * mask.Scale : 0;
}

/// Draws go by the row-major number of an element, wherever it lies: the same are dropped on every device.
readonly struct DropoutCell(MapView x, MapView y, GpuRows rows, Divisor area, DropoutDraws mask) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        int pixel = area.Remainder(row, out int image);
        bool kept = column < rows.Columns && mask.Keeps(((long)image * rows.Columns + column) * rows.Area + pixel);
        y[i] = kept ? x[i] * mask.Scale : 0;
    }
}
