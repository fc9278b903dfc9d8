namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Conv2d(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments)
    {
        var plan = Correlation.Forward(weight.Shape, y.Shape, sliding);
        if (IsDepthwise3x3(weight, sliding) && sliding.Stride == 1) Depthwise3x3<Size1>(x, weight, y, turned: false, moments);
        else if (IsDepthwise3x3(weight, sliding)) Depthwise3x3<Size2>(x, weight, y, turned: false, moments);
        else if (IsDepthwise(weight, sliding)) CorrelateDepthwise(x, weight, y, plan, moments);
        else if (IsWinograd(weight.Shape, y.Shape, weight.Shape[1], sliding)) Winograd(x, weight, y, sliding.Stride, transposed: false, moments);
        else Correlate(x, weight, y, plan, new(weight.Shape, sliding.Groups, transposed: false), moments);
    }

    internal override void Conv2dData(Tensor dy, Tensor weight, Tensor dx, Sliding sliding)
    {
        var plan = Correlation.Backward(weight.Shape, dx.Shape, sliding);
        if (IsDepthwise3x3(weight, sliding) && sliding.Stride == 1) Depthwise3x3<Size1>(dy, weight, dx, turned: true, null);
        else if (IsDepthwise(weight, sliding)) CorrelateDepthwise(dy, weight, dx, plan, null);
        else if (IsWinograd(weight.Shape, dy.Shape, weight.Shape[0], sliding)) Winograd(dy, weight, dx, sliding.Stride, transposed: true, null);
        else Correlate(dy, weight, dx, plan, new(weight.Shape, sliding.Groups, transposed: true), null);
    }

    internal override bool AddsConv2dData(Tensor weight, Shape y, Sliding sliding) => !IsDepthwise(weight, sliding) && !IsWinograd(weight.Shape, y, weight.Shape[0], sliding);

    internal override void Conv2dDataAdded(Tensor dy, Tensor weight, Tensor dx, Sliding sliding) =>
        Correlate(dy, weight, dx, Correlation.Backward(weight.Shape, dx.Shape, sliding), new(weight.Shape, sliding.Groups, transposed: true), null, adds: true);

    static bool IsDepthwise(Tensor weight, Sliding sliding) => weight.Shape[1] == 1 && weight.Shape[0] == sliding.Groups;

    /// <summary>
    /// Tiles of one image and a band of rows: the band of all input channels goes into scratch with its border (where
    /// there is none and nothing is to be done on load, the map itself is read), then every block of outputs runs over it while it is in the cache.
    /// </summary>
    void Correlate(Tensor from, Tensor weight, Tensor to, Correlation plan, WeightChannels channels, Tensor? moments, Folded? folded = null, BandSource? source = null, bool adds = false)
    {
        using var packed = Packed(weight, plan, channels, folded);
        var s = to.Shape;
        int phaseRows = (s.Height + plan.Spread - 1) / plan.Spread;
        int rows = Math.Min(phaseRows, source?.Rows ?? plan.Frame.RowsWithin(TileFloats, CpuLayout.Blocks(from.Shape.Channels)));
        int bands = (phaseRows + rows - 1) / rows;
        rows = (phaseRows + bands - 1) / bands;
        int[] starts = BandMoments.BandsOf(s, rows);
        using var partials = moments is null ? null : New(BandMoments.Partials(s, starts));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), starts);
        workers.Run(s.Images * bands, (tile, worker) =>
        {
            int image = tile / bands, first = tile % bands * rows;
            int bandRows = Math.Min(rows, phaseRows - first);
            var band = source?.Make(image, first, bandRows, worker) ?? Band(from, image, 1, 0, CpuLayout.Blocks(from.Shape.Channels), plan.Frame, first, bandRows, worker);
            int later = tile + 1;
            var ahead = band.Contiguous && source is null ? AheadOf(from, later / bands, 0, later % bands * rows, band) : default;
            float* weights = Of(packed);
            foreach (var phase in plan.Phases)
            {
                // Where no tap reaches, nothing is added: three quarters of what a 1×1 of step 2 read.
                if (adds && phase.Taps.Length == 0) continue;
                for (int group = 0; group < channels.Groups; group++) CorrelateBand(band, ahead, weights, OutputBand.Of(to, image, first, bandRows, plan.Spread, phase), phase, channels, group, folded, adds);
                weights += channels.PackedFloats(phase.Taps.Length);
            }
            for (int block = 0; partials is not null && block < CpuLayout.Blocks(s.Channels); block++) sums.Add(image, block, first);
        });
        Join(sums, moments);
    }

    /// How far from a pixel that is read lies the pixel that this worker will probably read in its next tile, asked for in
    /// time: the distance in the first block, and how much of it each further block adds.
    readonly record struct Distance(long Floats, long BlockFloats);

    /// From what a band has of its first row to a row of some image, or where that image ends to the next one.
    static Distance AheadOf(Tensor from, int image, int firstBlock, int row, InputBand band)
    {
        var s = from.Shape;
        if (from.Flat is not null) return default;
        if (row >= s.Height) (image, row) = (image + 1, 0);
        if (image >= s.Images) return default;
        long plane = (long)s.Height * s.Width * 16;
        float* next = Of(from.Deferred?.Source ?? from) + ((long)image * CpuLayout.Blocks(s.Channels) + firstBlock) * plane + (long)row * s.Width * 16;
        return new(next - (float*)band.Pixels, plane - band.BlockFloats);
    }

    void Join(BandMoments sums, Tensor? moments)
    {
        if (moments is not null) workers.Run(CpuLayout.Blocks(moments.Shape.Cols), (block, _) => sums.Join(block, Of(moments)));
    }

    /// Makes the rows that are correlated, so many at a time, where they are no map in memory.
    sealed record BandSource(int Rows, MakeBand Make);
    delegate InputBand MakeBand(int image, int first, int rows, int worker);

    /// Input rows in reach of the kernels: where output row `First` reads, and the distances of output rows, channel blocks and images.
    /// Next is where the rows lie in memory that the band after this one reads first.
    /// There an output row takes NextFloats more than the one before, and channel blocks lie a Plane apart.
    readonly record struct InputBand(nint Pixels, long RowFloats, long BlockFloats, long ImageFloats, int First, int Rows, bool Contiguous, nint Next, int NextFloats, long Plane);

    /// Asks for what the next band's copy will read, one of its rows with each row of this one.
    static void AskForNext(InputBand band, int firstBlock, int blocks, int row)
    {
        float* next = (float*)band.Next + firstBlock * band.Plane + (long)row * band.NextFloats;
        for (int b = 0; b < blocks; b++, next += band.Plane) Lanes.Prefetch(next, band.NextFloats / 16);
    }

    InputBand Band(Tensor from, int image, int images, int firstBlock, int blocks, Frame frame, int first, int rows, int worker)
    {
        if (from.Flat is not null) return FlatBand(from, image, images, frame, first, rows, worker);
        var s = from.Shape;
        var deferred = from.Deferred;
        long plane = (long)s.Height * s.Width * 16, stride = CpuLayout.Blocks(s.Channels) * plane;
        float* source = Of(deferred?.Source ?? from) + image * stride + firstBlock * plane;
        var next = (nint)(source + ((long)(first + rows - 1) * frame.Step + frame.Top + frame.Rows) * s.Width * 16);
        bool whole = frame is { Left: 0, Step: 1 } && frame.RowFloats == s.Width * 16;
        bool borderless = whole && frame.Top == 0 && first + frame.ScratchRows(rows) <= s.Height;
        if (deferred is null && borderless)
            return new((nint)(source + (long)first * s.Width * 16), s.Width * 16, plane, stride, first, rows, frame.Columns == 1, next, frame.Step * s.Width * 16, plane);
        long floats = (long)frame.ScratchRows(rows) * frame.RowFloats;
        float* scratch = Scratch(worker, images * blocks * floats);
        for (int i = 0; i < images; i++)
            for (int b = 0; b < blocks; b++)
            {
                float* from0 = source + i * stride + b * plane, to = scratch + (i * blocks + b) * floats;
                if (deferred is not null && borderless) NormaliseRows(from0 + (long)first * s.Width * 16, new(deferred, firstBlock + b), to, frame.ScratchRows(rows) * s.Width);
                else if (deferred is null) frame.Copy<V, AsItIs<V>>(from0, s.Height, s.Width, first, rows, new AsItIs<V>(), to);
                else frame.Copy<V, NormaliseOnLoad<V>>(from0, s.Height, s.Width, first, rows, new NormaliseOnLoad<V>(deferred, firstBlock + b), to);
            }
        return new((nint)scratch, (long)frame.RowFloats * frame.Step, floats, blocks * floats, first, rows, whole && frame.Columns == 1, next, frame.Step * s.Width * 16, plane);
    }

    InputBand FlatBand(Tensor from, int image, int images, Frame frame, int first, int rows, int worker)
    {
        var s = from.Shape;
        long floats = (long)frame.ScratchRows(rows) * frame.RowFloats, area = (long)s.Height * s.Width;
        float* scratch = Scratch(worker, images * floats);
        for (int i = 0; i < images; i++)
            frame.Copy<V, ThreePlanes<V>>(Of(from.Flat!) + (image + i) * s.Channels * area, s.Height, s.Width, first, rows, new(area), scratch + i * floats);
        return new((nint)scratch, (long)frame.RowFloats * frame.Step, floats, floats, first, rows, Contiguous: false, Next: 0, NextFloats: 0, Plane: 0);
    }

    /// Where sums go: the first pixel of the first channel block, the distances of blocks, rows and neighbours, and how many rows and columns there are.
    readonly record struct OutputBand(nint Pixels, long BlockFloats, long RowFloats, int Step, int Rows, int Columns)
    {
        /// Of a map, the outputs of one phase.
        public static OutputBand Of(Tensor to, int image, int first, int rows, int spread, Phase phase)
        {
            var s = to.Shape;
            float* pixels = Cpu<V>.Of(to) + ((long)image * CpuLayout.Blocks(s.Channels) * s.Height + first * spread + phase.Row) * s.Width * 16 + phase.Column * 16;
            return new((nint)pixels, (long)s.Height * s.Width * 16, spread * s.Width * 16L, spread * 16,
                Math.Min(rows, (s.Height - phase.Row + spread - 1) / spread - first), (s.Width - phase.Column + spread - 1) / spread);
        }
    }

    static void CorrelateBand(InputBand band, Distance ahead, float* weights, OutputBand to, Phase phase, WeightChannels channels, int group, Folded? folded, bool adds = false)
    {
        int rows = to.Rows, columns = to.Columns;
        if (band.Contiguous && to.Step == 16) (rows, columns) = (Math.Min(rows, 1), rows * columns);
        float* x = (float*)band.Pixels + group * channels.InBlocks * band.BlockFloats, y = (float*)to.Pixels + group * channels.OutBlocks * to.BlockFloats;
        weights += group * channels.GroupFloats(phase.Taps.Length);
        fixed (int* offsets = phase.Offsets)
        {
            var sum = new Reduction { Blocks = channels.InBlocks, LastChannels = channels.Ins - (channels.InBlocks - 1) * 16, Taps = phase.Taps.Length, Offsets = offsets, BlockFloats = band.BlockFloats, Ahead = ahead.Floats, AheadBlock = ahead.BlockFloats, HasResidual = adds, AsksAhead = adds };
            folded?.Begin(ref sum, group * channels.OutBlocks);
            for (int block = 0; block < channels.OutBlocks; block += Pair, y += Pair * to.BlockFloats, weights += channels.SliceFloats(phase.Taps.Length), sum.Advance(Pair))
                for (int row = 0; row < rows; row++)
                {
                    if (block == 0 && !band.Contiguous) AskForNext(band, group * channels.InBlocks, channels.InBlocks, row);
                    float* y0 = y + row * to.RowFloats;
                    if (Pair > 1 && block + 1 < channels.OutBlocks) DenseRow<Size2>(&sum, x + row * band.RowFloats, weights, y0, y0 + to.BlockFloats, to.Step, columns);
                    else DenseRow<Size1>(&sum, x + row * band.RowFloats, weights, y0, y0, to.Step, columns);
                }
        }
    }
}
