using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>Up to three sums that one pass takes together.</summary>
readonly struct Sums(float a, float b, float c)
{
    public readonly float A = a, B = b, C = c;
}

/// <summary>
/// What is summed over the rows of each column, and what becomes of the sums. Parts are independent sums over the same
/// rows and columns: images, kernel taps.
/// </summary>
interface IColumnSums
{
    Sums At(int row, int column, int part);
    void Finish(int column, int part, Sums total);
}

/// <summary>
/// First half: a group sums a range of rows of `width` columns and leaves [part][split][3][columns]. How many ranges there
/// are follows from the shape alone, so that the sums do as well.
/// </summary>
readonly struct ColumnPartials<S>(S terms, View partials, int rows, int columns, int width, int rowsPerSplit, int splits) : IKernel where S : struct, IColumnSums
{
    public void Run()
    {
        var a = SharedMemory.Allocate<float>(Gpu.Threads);
        var b = SharedMemory.Allocate<float>(Gpu.Threads);
        var c = SharedMemory.Allocate<float>(Gpu.Threads);
        int thread = Group.IdxX, lines = Gpu.Threads / width, column = Grid.IdxX * width + thread % width, part = Grid.IdxZ;
        int first = Grid.IdxY * rowsPerSplit, end = first + rowsPerSplit < rows ? first + rowsPerSplit : rows;
        float sumA = 0, sumB = 0, sumC = 0;
        if (column < columns)
            for (int row = first + thread / width; row < end; row += lines)
            {
                var term = terms.At(row, column, part);
                sumA += term.A;
                sumB += term.B;
                sumC += term.C;
            }
        a[thread] = sumA;
        b[thread] = sumB;
        c[thread] = sumC;
        Group.Barrier();
        for (int half = lines / 2; half > 0; half /= 2)
        {
            if (thread < half * width)
            {
                a[thread] += a[thread + half * width];
                b[thread] += b[thread + half * width];
                c[thread] += c[thread + half * width];
            }
            Group.Barrier();
        }
        if (thread >= width || column >= columns) return;
        long to = ((long)part * splits + Grid.IdxY) * 3 * columns + column;
        partials[to] = a[thread];
        partials[to + columns] = b[thread];
        partials[to + 2L * columns] = c[thread];
    }
}

/// <summary>Second half: one thread a column and part joins the ranges in their order, in double.</summary>
readonly struct ColumnFinish<S>(S terms, View partials, int columns, int splits) : IKernel where S : struct, IColumnSums
{
    public void Run()
    {
        int column = Grid.IdxX * Gpu.Threads + Group.IdxX, part = Grid.IdxY;
        if (column >= columns) return;
        double a = 0, b = 0, c = 0;
        for (int split = 0; split < splits; split++)
        {
            long from = ((long)part * splits + split) * 3 * columns + column;
            a += partials[from];
            b += partials[from + columns];
            c += partials[from + 2L * columns];
        }
        terms.Finish(column, part, new((float)a, (float)b, (float)c));
    }
}

public sealed partial class Gpu
{
    // Enough groups to fill a large GPU twice, and enough rows for each to be worth a group.
    const int SumGroups = 512, RowsPerThread = 8;
    // What a grid holds along its second and third side.
    const int MostParts = 65535;

    void SumColumns<S>(S terms, int rows, int columns, int parts = 1) where S : struct, IColumnSums
    {
        if (parts > MostParts) throw new DeviceException($"{Name}: {parts} images or taps at once are more than the {MostParts} that a grid holds");
        int width = WidthOf(columns), blocks = (columns + width - 1) / width;
        int splits = (int)Math.Clamp(SumGroups / ((long)blocks * parts), 1, Math.Max(1, rows / (Threads / width * RowsPerThread)));
        int rowsPerSplit = (rows + splits - 1) / splits;
        using var partials = New(Shape.Of(parts, splits, 3, columns));
        Launch(new ColumnPartials<S>(terms, Of(partials), rows, columns, width, rowsPerSplit, splits), blocks, splits, parts);
        Launch(new ColumnFinish<S>(terms, Of(partials), columns, splits), (columns + Threads - 1) / Threads, parts);
    }
}
