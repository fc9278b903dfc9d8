namespace FaceSearch.Tensors;

/// <summary>Depthwise convolutions: every channel for itself, so lanes never mix and one block of sixteen is a tile of its own.</summary>
public sealed unsafe partial class Cpu<V>
{
    // A band of one block with its border, in and out: about the L1 cache.
    const int DepthwiseFloats = 1 << 13;
    // Taps of a weight gradient summed at once: the addresses, not the sums, run out of registers first.
    static int TileTaps => Math.Min(9, V.Accumulators);

    void CorrelateDepthwise(Tensor from, Tensor weight, Tensor to, Correlation plan, Tensor? moments)
    {
        using var packed = PackDepthwise(weight, plan);
        var s = to.Shape;
        int blocks = CpuLayout.Blocks(s.Channels), phaseRows = (s.Height + plan.Spread - 1) / plan.Spread;
        int bandRows = plan.Frame.RowsWithin(DepthwiseFloats, 1);
        using var partials = moments is null ? null : New(BandMoments.Partials(s, bandRows));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), bandRows);
        workers.Run(s.Images * blocks, (tile, worker) =>
        {
            int image = tile / blocks, block = tile % blocks;
            for (int first = 0; first < phaseRows; first += bandRows)
            {
                var band = Band(from, image, 1, block, 1, plan.Frame, first, Math.Min(bandRows, phaseRows - first), worker);
                float* weights = Of(packed);
                foreach (var phase in plan.Phases)
                {
                    DepthwiseBand(band, weights + block * phase.Taps.Length * 16, to, tile, plan.Spread, phase);
                    weights += blocks * phase.Taps.Length * 16;
                }
                if (partials is not null) sums.Add(image, block, first);
            }
        });
        Join(sums, moments);
    }

    static void DepthwiseBand(InputBand band, float* weights, Tensor to, int plane, int spread, Phase phase)
    {
        var s = to.Shape;
        int rows = Math.Min(band.Rows, (s.Height - phase.Row + spread - 1) / spread - band.First), columns = (s.Width - phase.Column + spread - 1) / spread;
        float* y = Of(to) + (((long)plane * s.Height + band.First * spread + phase.Row) * s.Width + phase.Column) * 16;
        fixed (int* offsets = phase.Offsets)
            for (int row = 0; row < rows; row++)
                DepthwiseRow((float*)band.Pixels + row * band.RowFloats, offsets, weights, phase.Taps.Length, y + (long)row * spread * s.Width * 16, spread * 16, columns);
    }

    /// [phases][blocks][taps][16], zero past the last channel.
    Tensor PackDepthwise(Tensor weight, Correlation plan)
    {
        int channels = weight.Shape.Rows, area = weight.Shape.Cols;
        var packed = New(Shape.Of(Math.Max(1, CpuLayout.Blocks(channels) * plan.Phases.Sum(p => p.Taps.Length)), 16));
        float* to = Of(packed);
        foreach (var phase in plan.Phases)
            for (int c = 0; c < channels; c += 16)
                foreach (int tap in phase.Taps)
                    for (int lane = 0; lane < 16; lane++) *to++ = c + lane < channels ? Of(weight)[(c + lane) * area + tap] : 0;
        return packed;
    }

    void DepthwiseWeight(Tensor x, Tensor dy, Tensor dweight, Correlation plan)
    {
        int images = x.Shape.Images, channels = x.Shape.Channels, blocks = CpuLayout.Blocks(channels), area = dweight.Shape.Cols;
        int partials = Math.Min(images, MostPartials);
        using var sums = New(Shape.Of(partials, blocks, area, 16));
        workers.Run(partials * blocks, (tile, worker) =>
        {
            int partial = tile / blocks, block = tile % blocks;
            float* to = Of(sums) + (long)tile * area * 16;
            for (int tap = 0; tap < area; tap++) V.Store(V.Zero, to + tap * 16);
            for (int image = images * partial / partials; image < images * (partial + 1) / partials; image++)
                AddDepthwise(x, dy, image, block, plan, to, worker);
        });
        AddPartials(Of(sums), partials, (long)blocks * area * 16);
        for (int c = 0; c < channels; c++)
            for (int tap = 0; tap < area; tap++) Of(dweight)[c * area + tap] = Of(sums)[(c / 16 * area + tap) * 16 + c % 16];
    }

    void AddDepthwise(Tensor x, Tensor dy, int image, int block, Correlation plan, float* sums, int worker)
    {
        var s = dy.Shape;
        float* gradient = Of(dy) + ((long)image * CpuLayout.Blocks(s.Channels) + block) * s.Height * s.Width * 16;
        int bandRows = plan.Frame.RowsWithin(DepthwiseFloats, 1);
        fixed (int* offsets = plan.Phases[0].Offsets)
            for (int first = 0; first < s.Height; first += bandRows)
            {
                int rows = Math.Min(bandRows, s.Height - first);
                var band = Band(x, image, 1, block, 1, plan.Frame, first, rows, worker);
                DepthwiseTaps((float*)band.Pixels, band.RowFloats, offsets, gradient + (long)first * s.Width * 16, rows, s.Width, plan.Phases[0].Taps.Length, sums);
            }
    }
}
