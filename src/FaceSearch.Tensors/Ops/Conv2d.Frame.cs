using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// The part of a map that a row of outputs reads, copied into scratch with its zero border, so that kernels know no edges.
/// The window of output (0, 0) starts at (Top, Left) and spans Rows × Columns; each output moves it by Step. Columns are
/// stored by their remainder modulo Step: whatever the step, neighbouring outputs read neighbouring pixels. The copy is
/// where a deferred map is computed, at no cost but its arithmetic.
/// </summary>
readonly record struct Frame(int Top, int Left, int Rows, int Columns, int Step, int Outputs)
{
    /// Pixels of one remainder class in a row.
    int PhaseWidth => Outputs + (Columns - 1) / Step;

    public int RowFloats => PhaseWidth * Step * CpuLayout.Lanes;

    public int ScratchRows(int outputRows) => (outputRows - 1) * Step + Rows;

    /// Where the window of output 0 has its pixel (row, column).
    public int Offset(int row, int column) => row * RowFloats + (column % Step * PhaseWidth + column / Step) * CpuLayout.Lanes;

    /// Most output rows whose input rows, of that many channel blocks, fill about so many floats.
    public int RowsWithin(long floats, int blocks) => (int)Math.Max(1, floats / blocks / RowFloats / Step);

    /// <summary>Copies what output rows from `first` on read of one channel block [height, width].</summary>
    public unsafe void Copy<V, L>(float* plane, int height, int width, int first, int outputRows, L load, float* to) where V : struct, ILanes<V> where L : struct, IPixels<V>
    {
        for (int phase = 0; phase < Math.Min(Step, Columns); phase++)
        {
            int column = Left + phase, phaseWidth = PhaseWidth;
            int begin = Math.Clamp((Step - 1 - column) / Step, 0, phaseWidth), end = Math.Clamp((width - column + Step - 1) / Step, begin, phaseWidth);
            var rows = new FrameRows(Top + first * Step, ScratchRows(outputRows), Rows, Step, begin, end, phaseWidth, RowFloats);
            CopyRows<V, L>(rows, plane + column * L.Floats, height, width, load, to + phase * phaseWidth * CpuLayout.Lanes);
        }
    }

    // All rows in one method: maps of six pixels a side have rows that cost less than a call and the divisions above.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static unsafe void CopyRows<V, L>(FrameRows rows, float* plane, int height, int width, L load, float* to) where V : struct, ILanes<V> where L : struct, IPixels<V>
    {
        int step = rows.Step * L.Floats, begin = rows.Begin * CpuLayout.Lanes, all = rows.Width * CpuLayout.Lanes;
        for (int r = 0; r < rows.Count; r++, to += rows.RowFloats)
        {
            if (rows.Read < rows.Step && r % rows.Step >= rows.Read) continue;
            int row = rows.First + r, end = row < 0 || row >= height ? begin : rows.End * CpuLayout.Lanes;
            float* from = plane + ((long)row * width + rows.Begin * rows.Step) * L.Floats;
            for (int q = 0; q < begin; q += CpuLayout.Lanes) V.Store(V.Zero, to + q);
            for (int q = begin; q < end; q += CpuLayout.Lanes, from += step) V.Store(load.Load(from), to + q);
            for (int q = end; q < all; q += CpuLayout.Lanes) V.Store(V.Zero, to + q);
        }
    }

    /// Of one remainder class: from row First of the map so many, of each Step the first Read; of Width pixels those from Begin to End are the map's.
    readonly record struct FrameRows(int First, int Count, int Read, int Step, int Begin, int End, int Width, int RowFloats);
}

/// <summary>The outputs (Row, Column) modulo the output step, and the taps they read: offsets into a frame, indices into the kernel.</summary>
sealed record Phase(int Row, int Column, int[] Offsets, int[] Taps);

/// <summary>A correlation of a map with a kernel: frame, phases, and how far apart the outputs of one phase lie.</summary>
sealed record Correlation(Frame Frame, Phase[] Phases, int Spread)
{
    /// <summary>y from x.</summary>
    public static Correlation Forward(Shape weight, Shape y, Sliding sliding)
    {
        int height = weight[2], width = weight[3];
        var frame = new Frame(-sliding.Padding, -sliding.Padding, height, width, sliding.Stride, y.Width);
        int[] taps = [.. Enumerable.Range(0, height * width)];
        return new(frame, [new(0, 0, [.. taps.Select(t => frame.Offset(t / width, t % width))], taps)], 1);
    }

    /// <summary>
    /// dx from dy: dx[h] takes dy[(h + padding − r) / stride] through every tap r where that is whole, so outputs of equal
    /// remainder modulo the stride share their taps, and each phase is a correlation of step 1.
    /// </summary>
    public static Correlation Backward(Shape weight, Shape x, Sliding sliding)
    {
        var (stride, padding, _) = sliding;
        int height = weight[2], width = weight[3];
        int first = (int)Math.Ceiling((padding - Math.Max(height, width) + 1) / (double)stride), last = (stride - 1 + padding) / stride;
        int top = Math.Min(first, last), span = last - top + 1;
        var frame = new Frame(top, top, span, span, 1, (x.Width + stride - 1) / stride);
        var phases =
            from a in Enumerable.Range(0, Math.Min(stride, x.Height))
            from b in Enumerable.Range(0, Math.Min(stride, x.Width))
            let taps = (from r in Enumerable.Range(0, height)
                        from s in Enumerable.Range(0, width)
                        where (a + padding - r) % stride == 0 && (b + padding - s) % stride == 0
                        select (Offset: frame.Offset((a + padding - r) / stride - top, (b + padding - s) / stride - top), Tap: r * width + s)).ToArray()
            select new Phase(a, b, [.. taps.Select(t => t.Offset)], [.. taps.Select(t => t.Tap)]);
        return new(frame, [.. phases], stride);
    }
}
