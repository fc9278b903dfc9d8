using System.Runtime.CompilerServices;

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
        bool streams = Streams(s);
        int[] starts = BandMoments.BandsOf(s, bandRows);
        using var partials = moments is null ? null : New(BandMoments.Partials(s, starts));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), starts);
        workers.Run(s.Images * blocks, (tile, worker) =>
        {
            int image = tile / blocks, block = tile % blocks;
            for (int first = 0; first < phaseRows; first += bandRows)
            {
                var band = Band(from, image, 1, block, 1, plan.Frame, first, Math.Min(bandRows, phaseRows - first), worker);
                int rows = Math.Min(bandRows * plan.Spread, s.Height - first * plan.Spread);
                float* place = Of(to) + ((long)tile * s.Height + first * plan.Spread) * s.Width * 16, y = streams ? Scratch(worker, rows * s.Width * 16L, second: true) : place, weights = Of(packed);
                foreach (var phase in plan.Phases)
                {
                    DepthwiseBand(band, weights + block * phase.Taps.Length * 16, s, y, plan.Spread, phase, from.Shape.Width * plan.Frame.Step, streams);
                    weights += blocks * phase.Taps.Length * 16;
                }
                if (partials is not null) sums.Add(image, block, first, y);
                if (streams) Stream(y, place, rows * s.Width);
            }
        });
        Join(sums, moments);
    }

    /// While a row is computed, the input and output rows one band on are asked for: copying a band and computing it take
    /// turns, and memory would rest in every second of them.
    static void DepthwiseBand(InputBand band, float* weights, Shape s, float* y, int spread, Phase phase, int inputsAhead, bool streams)
    {
        int rows = Math.Min(band.Rows, (s.Height - phase.Row + spread - 1) / spread - band.First), columns = (s.Width - phase.Column + spread - 1) / spread;
        y += (phase.Row * s.Width + phase.Column) * 16;
        fixed (int* offsets = phase.Offsets)
            for (int row = 0; row < rows; row++)
            {
                float* result = y + (long)row * spread * s.Width * 16;
                if (phase is { Row: 0, Column: 0 })
                {
                    Lanes.Prefetch((float*)band.Next + (long)row * inputsAhead * 16, inputsAhead);
                    if (!streams) Lanes.Prefetch(result + (long)band.Rows * spread * s.Width * 16, spread * s.Width);
                }
                DepthwiseRow((float*)band.Pixels + row * band.RowFloats, offsets, weights, phase.Taps.Length, result, spread * 16, columns);
            }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Stream(float* from, float* to, int vectors)
    {
        for (int i = 0; i < vectors; i++, from += 16, to += 16) V.Stream(V.Load(from), to);
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
        int inputsAhead = x.Shape.Width * plan.Frame.Step;
        fixed (int* offsets = plan.Phases[0].Offsets)
            for (int first = 0; first < s.Height; first += bandRows)
            {
                int rows = Math.Min(bandRows, s.Height - first);
                var band = Band(x, image, 1, block, 1, plan.Frame, first, rows, worker);
                for (int row = 0; row < rows; row++)
                {
                    float* from = gradient + (long)(first + row) * s.Width * 16;
                    Lanes.Prefetch((float*)band.Next + (long)row * inputsAhead * 16, inputsAhead);
                    Lanes.Prefetch(from + (long)rows * s.Width * 16, s.Width);
                    DepthwiseTaps((float*)band.Pixels + row * band.RowFloats, band.RowFloats, offsets, from, 1, s.Width, plan.Phases[0].Taps.Length, sums);
                }
            }
    }
}
