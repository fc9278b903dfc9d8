using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Depthwise 3×3 with its border of one, step 1 or 2, which is nearly all depthwise work of the networks here. Rows are read
/// where they lie; only a deferred map is computed into scratch first, a band of rows at a time.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // How far ahead of what is read memory is asked for.
    const int AheadFloats = 4096;

    static bool IsDepthwise3x3(Tensor weight, Sliding sliding) =>
        IsDepthwise(weight, sliding) && weight.Shape is var s && s[2] == 3 && s[3] == 3 && sliding is { Stride: 1 or 2, Padding: 1 };

    /// [blocks][9][16], zero past the last channel; the kernels turned by half a turn if asked for.
    Tensor Pack3x3(Tensor weight, bool turned)
    {
        var use = new Frozen.Use(weight, Turned: turned);
        if (Frozen?.Find(use) is { } kept) return kept;
        int channels = weight.Shape.Rows, blocks = CpuLayout.Blocks(channels);
        var packed = New(Shape.Of(blocks * 9, 16));
        for (int c = 0; c < blocks * 16; c++)
            for (int tap = 0; tap < 9; tap++)
                Of(packed)[(c / 16 * 9 + tap) * 16 + c % 16] = c < channels ? Of(weight)[c * 9 + (turned ? 8 - tap : tap)] : 0;
        Frozen?.Keep(use, packed);
        return packed;
    }

    /// What lies above the first row of a map and below the last.
    Tensor ZeroRow(int width)
    {
        var row = New(Shape.Of(width, 16));
        Clear(row);
        return row;
    }

    /// Planes [height, width, 16] of a map that a tile takes, one after the other in memory, where what is asked for ahead then lies.
    static int PlanesOf(Shape s, int most) => Math.Clamp(TileFloats / (s.Height * s.Width * 16), 1, most);

    /// x may be deferred. Given a norm, y is what it makes of the sums.
    void Depthwise3x3<T>(Tensor x, Tensor weight, Tensor y, bool turned, Tensor? moments, Normalised? norm = null) where T : ISize
    {
        using Tensor packed = Pack3x3(weight, turned), zeros = ZeroRow(x.Shape.Width);
        int height = x.Shape.Height, outputs = y.Shape.Height, blocks = CpuLayout.Blocks(x.Shape.Channels);
        int rowFloats = x.Shape.Width * 16, outFloats = y.Shape.Width * 16, overlap = 3 - T.Value;
        int bandRows = Math.Clamp((DepthwiseFloats / rowFloats - overlap) / T.Value, 1, outputs);
        bool streams = Streams(y.Shape);
        int[] starts = BandMoments.BandsOf(y.Shape, bandRows);
        using var partials = moments is null ? null : New(BandMoments.Partials(y.Shape, starts));
        var sums = partials is null ? default : new BandMoments(y, Of(partials), starts);
        var deferred = x.Deferred;
        int planes = x.Shape.Images * blocks, together = PlanesOf(x.Shape, planes);
        workers.Run((planes + together - 1) / together, (tile, worker) =>
        {
            for (int plane = tile * together; plane < Math.Min(planes, (tile + 1) * together); plane++) Compute(plane, worker);
        });
        Join(sums, moments);

        void Compute(int number, int worker)
        {
            int block = number % blocks;
            float* plane = Of(deferred?.Source ?? x) + (long)number * height * rowFloats, to = Of(y) + (long)number * outputs * outFloats, w = Of(packed) + block * 9 * 16;
            float* scratch = deferred is null ? null : Scratch(worker, (bandRows * T.Value + (long)overlap) * rowFloats);
            for (int first = 0; first < outputs; first += bandRows, to += (long)bandRows * outFloats)
            {
                var band = new SlidingBand<T>(plane, Of(zeros), height, x.Shape.Width, first, Math.Min(first + bandRows, outputs), AheadFloats);
                // While this band is computed, memory would rest: the next one's rows are asked for.
                if (deferred is not null) band = NormaliseBand(band, new(deferred, block), scratch, bandRows, kept: first == 0 ? 0 : overlap, (bandRows * T.Value + 1L) * rowFloats);
                float* sum = partials is null ? null : sums.Place(number / blocks, block, first);
                if (sum != null) band.Start(w, sum);
                if (norm is not null) band.Slide<No, No, NormaliseOnLoad<V>>(w, to, sum, new(norm, block));
                else if (streams && sum != null) band.Slide<Yes, Yes, AsItIs<V>>(w, to, sum, default);
                else if (streams) band.Slide<No, Yes, AsItIs<V>>(w, to, sum, default);
                else if (sum != null) band.Slide<Yes, No, AsItIs<V>>(w, to, sum, default);
                else band.Slide<No, No, AsItIs<V>>(w, to, sum, default);
            }
        }
    }

    /// The same band of the normalised map in scratch. The last rows of a band are the first of the next, and may have been kept there.
    /// With each row the one is asked for that lies `further` on in memory.
    static SlidingBand<T> NormaliseBand<T>(SlidingBand<T> band, NormaliseOnLoad<V> load, float* scratch, int bandRows, int kept, long further) where T : ISize
    {
        int rowFloats = band.Width * 16, top = band.First * T.Value - 1;
        int from = Math.Max(0, top + kept), end = Math.Min(band.Height, (band.End - 1) * T.Value + 2);
        new Span<float>(scratch + (long)bandRows * T.Value * rowFloats, kept * rowFloats).CopyTo(new(scratch, kept * rowFloats));
        float* rows = scratch - (long)top * rowFloats;
        NormaliseRows(band.Plane + (long)from * rowFloats, load, rows + (long)from * rowFloats, (end - from) * band.Width);
        return new(rows, band.Zeros, band.Height, band.Width, band.First, band.End, band.Plane - rows + further);
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

    /// <summary>Output rows First to End of a plane [Height, Width, 16]: those inside in one run, those at an edge of the map beside a row of zeros.</summary>
    readonly struct SlidingBand<T>(float* plane, float* zeros, int height, int width, int first, int end, long ahead) where T : ISize
    {
        public float* Plane => plane;
        public float* Zeros => zeros;
        public int Height => height;
        public int Width => width;
        public int First => first;
        public int End => end;

        float* Row(int row) => row < 0 || row >= height ? zeros : plane + (long)row * width * 16;

        public void Slide<M, S, L>(float* w, float* y, float* moments, L last) where M : IChoice where S : IChoice where L : struct, IOnLoad<V>
        {
            // The rows below this one have a row of the map below them.
            int whole = (height - 2 + T.Value) / T.Value;
            for (int row = first, rows; row < end; row += rows, y += rows * ((width + T.Value - 1) / T.Value * 16L))
            {
                rows = row == 0 ? 1 : Math.Max(1, Math.Min(end, whole) - row);
                int here = row * T.Value;
                SlideRows<T, M, S, L>(Row(here - 1), Row(here), Row(here + 1), w, y, rows, width, ahead, moments, last);
            }
        }

        /// Moments of no pixel yet, around k, a pixel with neighbours on both sides if there is one.
        public void Start(float* w, float* moments)
        {
            float* outputs = stackalloc float[3 * 16];
            int here = first * T.Value;
            SlideRows<Size1, No, No, AsItIs<V>>(Row(here - 1), Row(here), Row(here + 1), w, outputs, 1, Math.Min(3, width), 0, null, default);
            V.Store(V.Load(outputs + Math.Min(1, width - 1) * 16), moments);
            V.Store(V.Zero, moments + 16);
            V.Store(V.Zero, moments + 32);
        }
    }
}
