namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    const int VectorsAhead = 4;

    /// Up to sixteen outputs of one input: the first of their nine plain weights and how far apart the outputs are; the first of their vectors at the points.
    readonly record struct WinogradLanes(nint Plain, int Stride, int Count, nint Points);

    /// <summary>Plain weights → [points][outputs/32 (AVX-512, else /16)][inputs][outputs of the slice]; transposed ones turn by half a circle.</summary>
    void PackWinograd(Tensor weight, Tensor packed, WeightChannels channels, WinogradTiles tiles) => workers.Run(channels.Slices * channels.InBlocks, (tile, worker) =>
    {
        long points = PointFloats(channels);
        float* taps = Scratch(worker, TapFloats + TransformFloats, second: true), half = taps + TapFloats;
        for (int i = 0, vectors = VectorsOf(channels, tile); i < vectors; i++)
        {
            var lanes = WinogradLanesOf(weight, packed, channels, tile, i);
            if (i + VectorsAhead < vectors) AskForVectors(lanes, points, tiles.WeightPoints);
            for (int tap = 0; tap < 9; tap++)
            {
                float* value = (float*)lanes.Plain + (channels.Transposed ? 8 - tap : tap), to = taps + tap * 16;
                for (int lane = 0; lane < lanes.Count; lane++, value += lanes.Stride) to[lane] = *value;
                for (int lane = lanes.Count; lane < 16; lane++) to[lane] = 0;
            }
            Transform<WeightTransform>(tiles.Weights, taps, new(3 * 16, 16), (float*)lanes.Points, new(tiles.Width.WeightPoints * points, points), half);
        }
    });

    /// <summary>Gradients at the points, laid out as packed weights → plain weights.</summary>
    void UnpackWinograd(Tensor packed, Tensor weight, WeightChannels channels, WinogradTiles tiles) => workers.Run(channels.Slices * channels.InBlocks, (tile, worker) =>
    {
        long points = PointFloats(channels);
        float* taps = Scratch(worker, TapFloats + TransformFloats, second: true), half = taps + TapFloats;
        for (int i = 0, vectors = VectorsOf(channels, tile); i < vectors; i++)
        {
            var lanes = WinogradLanesOf(weight, packed, channels, tile, i);
            if (i + VectorsAhead < vectors) AskForVectors(lanes, points, tiles.WeightPoints);
            Transform<WeightGradientTransform>(tiles.Weights, (float*)lanes.Points, new(tiles.Width.WeightPoints * points, points), taps, new(3 * 16, 16), half);
            float* plain = (float*)lanes.Plain;
            for (int lane = 0; lane < lanes.Count; lane++, plain += lanes.Stride)
                for (int tap = 0; tap < 9; tap++) plain[tap] = taps[tap * 16 + lane];
        }
    });

    /// The vectors some turns later, which are as far from one another as the points: no prefetcher of a processor follows so many.
    static void AskForVectors(WinogradLanes lanes, long pointFloats, int points)
    {
        for (int point = 0; point < points; point++) Lanes.Prefetch((float*)lanes.Points + point * pointFloats + VectorsAhead * 16, 1);
    }

    /// A tile of weights is one block of inputs and one slice of outputs; this many vectors of outputs.
    static int VectorsOf(WeightChannels channels, int tile) =>
        Math.Min(16, channels.Ins - tile % channels.InBlocks * 16) * Math.Min(Pair, channels.OutBlocks - tile / channels.InBlocks * Pair);

    static WinogradLanes WinogradLanesOf(Tensor weight, Tensor packed, WeightChannels channels, int tile, int index)
    {
        int block = tile / channels.InBlocks * Pair, vectors = Math.Min(Pair, channels.OutBlocks - block);
        int input = tile % channels.InBlocks * 16 + index / vectors, output = (block + index % vectors) * 16;
        var (outer, inner, stride) = channels.Transposed ? (input, output, 9) : (output, input, channels.Inner * 9);
        float* points = Of(packed) + block / Pair * channels.SliceFloats(1) + ((long)input * vectors + index % vectors) * 16;
        return new((nint)(Of(weight) + ((long)outer * channels.Inner + inner) * 9), stride, Math.Min(16, channels.Outs - output), (nint)points);
    }
}
