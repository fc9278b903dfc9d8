using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Depthwise 3×3 of stride 1 with its border of one, which is nearly all depthwise work of the networks here. A tile is one block of one
/// image; rows are read where they lie, and only a deferred map is computed into scratch first, a band of rows at a time.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // How far ahead of what is read memory is asked for.
    const int AheadFloats = 2048;

    static bool IsDepthwise3x3(Tensor weight, Sliding sliding) => IsDepthwise(weight, sliding) && weight.Shape is var s && s[2] == 3 && s[3] == 3 && sliding is { Stride: 1, Padding: 1 };

    /// [blocks][9][16], zero past the last channel; turned by half a turn if asked for.
    Tensor Pack3x3(Tensor weight, bool turned)
    {
        int channels = weight.Shape.Rows, blocks = CpuLayout.Blocks(channels);
        var packed = New(Shape.Of(blocks * 9, 16));
        for (int c = 0; c < blocks * 16; c++)
            for (int tap = 0; tap < 9; tap++)
                Of(packed)[(c / 16 * 9 + tap) * 16 + c % 16] = c < channels ? Of(weight)[c * 9 + (turned ? 8 - tap : tap)] : 0;
        return packed;
    }

    /// A row of zeros: what lies above the first row of a map and below the last.
    Tensor ZeroRow(int width)
    {
        var row = New(Shape.Of(width, 16));
        Clear(row);
        return row;
    }

    /// y = x ∗ weight; x may be deferred. Moments as <see cref="Conv2d"/> has them.
    void Depthwise3x3(Tensor x, Tensor weight, Tensor y, bool turned, Tensor? moments)
    {
        using Tensor packed = Pack3x3(weight, turned), zeros = ZeroRow(y.Shape.Width);
        var s = y.Shape;
        int blocks = CpuLayout.Blocks(s.Channels), rowFloats = s.Width * 16, bandRows = Math.Clamp(DepthwiseFloats / rowFloats - 2, 1, s.Height);
        bool streams = CpuLayout.Floats(s) >= StreamedFloats;
        using var partials = moments is null ? null : New(BandMoments.Partials(s, bandRows));
        var sums = partials is null ? default : new BandMoments(y, Of(partials), bandRows);
        var deferred = x.Deferred;
        workers.Run(s.Images * blocks, (tile, worker) =>
        {
            int block = tile % blocks;
            float* plane = Of(deferred?.Source ?? x) + (long)tile * s.Height * rowFloats, to = Of(y) + (long)tile * s.Height * rowFloats, w = Of(packed) + block * 9 * 16;
            float* scratch = deferred is null ? null : Scratch(worker, (bandRows + 2L) * rowFloats);
            for (int first = 0; first < s.Height; first += bandRows)
            {
                int end = Math.Min(first + bandRows, s.Height);
                float* rows = plane;
                if (deferred is not null)
                {
                    rows = scratch - (first - 1L) * rowFloats;
                    // The last two rows of a band are the first two of the next.
                    int from = first == 0 ? 0 : first + 1, known = Math.Min(s.Height, end + 1);
                    if (first > 0) new Span<float>(scratch + (long)bandRows * rowFloats, 2 * rowFloats).CopyTo(new(scratch, 2 * rowFloats));
                    NormaliseRows(plane + (long)from * rowFloats, new(deferred, block), rows + (long)from * rowFloats, (known - from) * s.Width);
                }
                var band = new SlidingBand(rows, Of(zeros), s.Height, s.Width, first, end, deferred is null ? AheadFloats : 0);
                float* sum = partials is null ? null : sums.Place(tile / blocks, block, first);
                if (sum != null) band.Start(w, sum);
                float* result = to + (long)first * rowFloats;
                if (streams && sum != null) band.Slide<Yes, Yes>(w, result, sum);
                else if (streams) band.Slide<No, Yes>(w, result, sum);
                else if (sum != null) band.Slide<Yes, No>(w, result, sum);
                else band.Slide<No, No>(w, result, sum);
            }
        });
        Join(sums, moments);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void NormaliseRows(float* from, NormaliseOnLoad<V> load, float* to, int pixels)
    {
        for (float* end = from + pixels * 16L; from < end; from += 16, to += 16)
        {
            Lanes.Prefetch(from + AheadFloats, 1);
            V.Store(load.Apply(V.Load(from)), to);
        }
    }

    /// <summary>Output rows First to End of a plane of rows: those in the middle in one run, the first and the last of the map beside a row of zeros.</summary>
    readonly struct SlidingBand(float* plane, float* zeros, int height, int width, int first, int end, long ahead)
    {
        float* Row(int row) => row < 0 || row >= height ? zeros : plane + (long)row * width * 16;

        public void Slide<M, S>(float* w, float* y, float* moments) where M : IChoice where S : IChoice
        {
            for (int row = first, rows; row < end; row += rows, y += (long)rows * width * 16)
            {
                rows = RowsFrom(row);
                SlideRows<M, S>(Row(row - 1), Row(row), Row(row + 1), w, y, rows, width, ahead, moments);
            }
        }

        public void Back<L, S>(float* x, float* w, float* dx, float* dw, long xAhead, L load) where L : struct, IOnLoad<V> where S : IChoice
        {
            for (int row = first, rows; row < end; row += rows, x += (long)rows * width * 16, dx += (long)rows * width * 16)
            {
                rows = RowsFrom(row);
                SlideBack<L, S>(Row(row - 1), Row(row), Row(row + 1), x, w, dx, dw, rows, width, ahead, xAhead, load);
            }
        }

        int RowsFrom(int row) => row == 0 || row == height - 1 ? 1 : Math.Min(end, height - 1) - row;

        /// Moments of no pixel yet, around k, a pixel with neighbours on both sides if there is one.
        public void Start(float* w, float* moments)
        {
            float* outputs = stackalloc float[3 * 16];
            SlideRows<No, No>(Row(first - 1), Row(first), Row(first + 1), w, outputs, 1, Math.Min(3, width), 0, null);
            V.Store(V.Load(outputs + Math.Min(1, width - 1) * 16), moments);
            V.Store(V.Zero, moments + 16);
            V.Store(V.Zero, moments + 32);
        }
    }

    internal override void Conv2dBackward(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight, Sliding sliding)
    {
        if (!IsDepthwise3x3(weight, sliding))
        {
            base.Conv2dBackward(x, dy, weight, dx, dweight, sliding);
            return;
        }
        var s = dx.Shape;
        int blocks = CpuLayout.Blocks(s.Channels), partials = Math.Min(s.Images, MostPartials);
        using Tensor packed = Pack3x3(weight, turned: true), zeros = ZeroRow(s.Width), sums = New(Shape.Of(partials, blocks, 9, 16));
        bool streams = CpuLayout.Floats(s) >= StreamedFloats;
        var deferred = x.Deferred;
        long plane = (long)s.Height * s.Width * 16;
        workers.Run(partials * blocks, (tile, worker) =>
        {
            int partial = tile / blocks, block = tile % blocks;
            float* dw = Of(sums) + tile * 9L * 16, w = Of(packed) + block * 9 * 16;
            for (int tap = 0; tap < 9; tap++) V.Store(V.Zero, dw + tap * 16);
            for (int image = s.Images * partial / partials; image < s.Images * (partial + 1) / partials; image++)
            {
                long at = ((long)image * blocks + block) * plane;
                float* from = Of(deferred?.Source ?? x) + at, to = Of(dx) + at;
                var band = new SlidingBand(Of(dy) + at, Of(zeros), s.Height, s.Width, 0, s.Height, AheadFloats);
                if (deferred is null)
                {
                    if (streams) band.Back<AsItIs<V>, Yes>(from, w, to, dw, AheadFloats, new());
                    else band.Back<AsItIs<V>, No>(from, w, to, dw, AheadFloats, new());
                }
                else
                {
                    var load = new NormaliseOnLoad<V>(deferred, block);
                    if (streams) band.Back<NormaliseOnLoad<V>, Yes>(from, w, to, dw, AheadFloats, load);
                    else band.Back<NormaliseOnLoad<V>, No>(from, w, to, dw, AheadFloats, load);
                }
            }
        });
        AddPartials(Of(sums), partials, blocks * 9L * 16);
        for (int c = 0; c < s.Channels; c++)
            for (int tap = 0; tap < 9; tap++) Of(dweight)[c * 9 + tap] = Of(sums)[(c / 16 * 9 + 8 - tap) * 16 + c % 16];
    }
}
