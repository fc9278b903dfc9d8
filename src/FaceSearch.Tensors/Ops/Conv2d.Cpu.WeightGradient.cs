namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    // Partial sums of a weight gradient: at most so many, half as many where they would not stay in the cache, and so many floats in all.
    const int MostPartials = 16;
    const long WideFloats = 1 << 15;
    const long PartialFloats = 1 << 20;
    // Pixels of a band: two blocks of dy and one of x stay in the L1 cache.
    const int BandPixels = 196;
    const long SharedFloats = 1 << 16;

    internal override void Conv2dWeight(Tensor x, Tensor dy, Tensor dweight, Sliding sliding)
    {
        var plan = Correlation.Forward(dweight.Shape, dy.Shape, sliding);
        if (IsDepthwise(dweight, sliding))
        {
            DepthwiseWeight(x, dy, dweight, plan);
            return;
        }
        if (IsWinograd(dweight.Shape, dy.Shape, dweight.Shape[1], sliding))
        {
            WinogradWeight(x, dy, dweight, sliding.Stride);
            return;
        }
        DirectWeight(x, dy, dweight, plan, new(dweight.Shape, sliding.Groups, transposed: false), null);
    }

    static int PartialsOf(int images, long floats) => (int)Math.Clamp(PartialFloats / floats, 1, Math.Min(images, floats < WideFloats ? MostPartials : MostPartials / 2));

    /// `both` has the gradient of x computed from each band of dy, too.
    void DirectWeight(Tensor x, Tensor dy, Tensor dweight, Correlation plan, WeightChannels channels, PointwiseData? both)
    {
        int[] taps = plan.Phases[0].Taps;
        long floats = channels.PackedFloats(taps.Length);
        int images = x.Shape.Images, partials = PartialsOf(images, floats);
        using var sums = New(Shape.Of(partials, checked((int)floats)));
        // Slices that share each band of x: as many as the second-level cache has room for, but no thread stays without work. No sum depends on it.
        long enough = channels.Slices * (long)partials * channels.Groups / (2 * workers.Count);
        int shared = (int)Math.Clamp(Math.Min(enough, SharedFloats / channels.SliceFloats(taps.Length)), 1, channels.Slices), sets = (channels.Slices + shared - 1) / shared;
        int together = Math.Max(1, BandPixels / (dy.Shape.Height * dy.Shape.Width));
        workers.Run(partials * channels.Groups * sets, (tile, worker) =>
        {
            int partial = tile / (channels.Groups * sets), group = tile / sets % channels.Groups, first = tile % sets * shared, last = Math.Min(first + shared, channels.Slices);
            float* to = Of(sums) + partial * floats + group * channels.GroupFloats(taps.Length) + first * channels.SliceFloats(taps.Length);
            for (long i = 0, n = (Math.Min(last * Pair, channels.OutBlocks) - first * Pair) * 16L * channels.Ins * taps.Length; i < n; i += 16) V.Store(V.Zero, to + i);
            int end = images * (partial + 1) / partials;
            for (int image = images * partial / partials; image < end; image += together)
                AddSlices(x, dy, image, Math.Min(together, end - image), plan, channels, group, first, last, to, both, worker);
        });
        AddPartials(Of(sums), partials, floats);
        Unpack(Of(sums), dweight, channels, taps);
    }

    void AddPartials(float* sums, int partials, long floats) => workers.Run((int)((floats + TileFloats - 1) / TileFloats), (tile, _) =>
    {
        for (long i = (long)tile * TileFloats; i < Math.Min(floats, (tile + 1L) * TileFloats); i += 16)
        {
            var sum = V.Load(sums + i);
            for (int p = 1; p < partials; p++) sum += V.Load(sums + p * floats + i);
            V.Store(sum, sums + i);
        }
    });

    /// Adds the part of some images to the gradients of some slices of outputs.
    void AddSlices(Tensor x, Tensor dy, int image, int images, Correlation plan, WeightChannels channels, int group, int firstSlice, int endSlice, float* sums, PointwiseData? both, int worker)
    {
        var s = dy.Shape;
        int blocks = CpuLayout.Blocks(s.Channels), bandRows = Math.Max(1, BandPixels / s.Width);
        long plane = (long)s.Height * s.Width * 16;
        for (int first = 0; first < s.Height; first += bandRows)
        {
            float* inMemory = Of(dy) + (long)image * blocks * plane + (long)first * s.Width * 16;
            long nextBand = first + bandRows < s.Height ? (long)bandRows * s.Width * 16 : (long)images * blocks * plane - (long)first * s.Width * 16;
            var gradient = both?.Add(image, images, first, Math.Min(bandRows, s.Height - first), worker) ?? new((nint)inMemory, plane, blocks * plane);
            var band = Band(x, image, images, group * channels.InBlocks, channels.InBlocks, plan.Frame, first, Math.Min(bandRows, s.Height - first), worker);
            var (rows, columns) = band.Contiguous ? (1, band.Rows * s.Width) : (band.Rows, s.Width);
            var pixels = new Pixels(images, rows, columns, band.ImageFloats, band.RowFloats, gradient.ImageFloats, s.Width * 16);
            var ahead = band.Contiguous && images == 1 ? AheadOf(x, image, group * channels.InBlocks, first + bandRows, band) : default;
            float* to = sums;
            int asked = band.Contiguous || images > 1 ? band.Rows : 0;
            for (int slice = firstSlice; slice < endSlice; slice++)
            {
                int block = slice * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
                float* dy0 = (float*)gradient.Pixels + (group * channels.OutBlocks + block) * gradient.BlockFloats;
                // Where dy is read after this slice: the next one, or the first of the next rows or the next image; all of those if this band has been read before.
                float* next = inMemory + (both is null && slice + 1 < endSlice ? (group * channels.OutBlocks + block + Pair) * plane
                    : (group * channels.OutBlocks + (both is null ? firstSlice * Pair : block)) * plane + nextBand);
                for (int b = 0; b < channels.InBlocks; b++)
                    foreach (int offset in plan.Phases[0].Offsets)
                    {
                        if (asked < band.Rows) AskForNext(band, 0, channels.InBlocks, asked++);
                        int inputs = Math.Min(16, channels.Ins - b * 16);
                        float* from = (float*)band.Pixels + b * band.BlockFloats + offset;
                        pixels = pixels with
                        {
                            Ahead = slice == firstSlice && ahead.Floats != 0 ? from + ahead.Floats + b * ahead.BlockFloats - dy0 : 0,
                            NextAhead = channels.InBlocks - b > Pair ? 0 : next + (channels.InBlocks - 1 - b) * plane - dy0,
                        };
                        if (width > 16) OuterBlock<Size2>(pixels, from, dy0, dy0 + gradient.BlockFloats, inputs, to);
                        else OuterBlock<Size1>(pixels, from, dy0, dy0, inputs, to);
                        to += inputs * width;
                    }
            }
        }
    }
}
