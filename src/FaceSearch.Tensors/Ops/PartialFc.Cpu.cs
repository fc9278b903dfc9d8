using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    // Some hundred microseconds' worth.
    const int PlacesPerTile = 4096;

    /// The places of the order are computed side by side, those of the batch's classes crossed out; what is left moves up in one pass.
    internal override void PartialFc(int[] labels, int classes, PartialFc partial, StepExchange? exchange, Drawn drawn)
    {
        int* to = (int*)Of(drawn.Classes);
        var ofBatch = BatchClasses(labels, new((int*)Of(drawn.Labels), labels.Length));
        int total = drawn.Count, slot = ofBatch.Length;
        ofBatch.CopyTo(new Span<int>(to, total));
        Array.Sort(ofBatch);
        using var places = New(drawn.Classes.Shape);
        int* at = (int*)Of(places);
        var order = new ClassOrder(partial.Seed, partial.Step, classes);
        workers.Run((total + PlacesPerTile - 1) / PlacesPerTile, (tile, _) =>
        {
            for (int n = tile * PlacesPerTile, end = Math.Min(total, n + PlacesPerTile); n < end; n++)
            {
                int c = order.At(n);
                at[n] = Array.BinarySearch(ofBatch, c) >= 0 ? -1 : c;
            }
        });
        for (int n = 0; slot < total; n++)
            if (at[n] >= 0) to[slot++] = at[n];
    }

    static int[] PlacesOf(Drawn drawn) => new Span<int>((int*)Of(drawn.Labels), drawn.Labels.Shape.Rows).ToArray();

    /// Rows of a matrix, all or those that an index names.
    readonly struct IndexedRows(float* first, int* index, int count, int columns)
    {
        public IndexedRows(Tensor matrix, Drawn? drawn) : this(Of(matrix), drawn is { } some ? (int*)Of(some.Classes) : null, drawn?.Count ?? matrix.Shape.Rows, matrix.Shape.Cols) { }

        /// Whether rows that follow each other lie so.
        public bool AreAll => index is null;

        public float* this[long row]
        {
            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            get => first + (index is null ? row : index[row]) * columns;
        }

        /// Float n of the rows as if one followed the other, to be asked for early; past the last row it is anywhere.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public float* At(long n) => index is null ? first + n : this[Math.Min(n / columns, count - 1)] + n % columns;
    }

    /// Hands out where a piece of a gradient is, where it belongs in the parameter, and how long it is: whole vectors, or less than one.
    void ForGradient(Tensor gradient, Action<long, long, long> piece)
    {
        if (gradient.OfRows is not { } rows)
        {
            ForFloats(gradient.Shape, (start, end) => piece(start, start, end - start));
            return;
        }
        int* index = (int*)Of(rows);
        int count = gradient.Shape.Rows, columns = gradient.Shape.Cols, each = Math.Max(1, TileFloats / columns);
        workers.Run((count + each - 1) / each, (tile, _) =>
        {
            for (int r = tile * each, end = Math.Min(count, r + each); r < end; r++)
            {
                long from = (long)r * columns, to = (long)index[r] * columns, whole = columns & ~15;
                if (whole > 0) piece(from, to, whole);
                if (whole < columns) piece(from + whole, to + whole, columns - whole);
            }
        });
    }
}
