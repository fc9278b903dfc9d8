namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// Floats of one point of packed weights [outputs/32 (AVX-512, else /16)][inputs][outputs of the slice], off the power of two at which points would collide.
    static long PointFloats(WeightChannels channels) => channels.PackedFloats(1) | 16;

    /// <summary>Plain weights → [points][slices][inputs][outputs of the slice]; rotated by half a turn for the gradient of the data.</summary>
    void PackWinograd(Tensor weight, Tensor packed, WeightChannels channels) => workers.Run(channels.Slices * channels.InBlocks, (tile, _) =>
    {
        float* taps = stackalloc float[9 * 16 + 36 * 16 + 16];
        taps = (float*)(((nint)taps + 63) & ~63);
        ForWinogradWeights(weight, packed, channels, tile, (plain, stride, count, points) =>
        {
            for (int tap = 0; tap < 9; tap++)
            {
                float* lanes = taps + tap * 16, value = plain + (channels.Transposed ? 8 - tap : tap);
                for (int i = 0; i < count; i++, value += stride) lanes[i] = *value;
                for (int i = count; i < 16; i++) lanes[i] = 0;
            }
            Transform2d<WeightTransform>(taps, 48, 16, 0, points, 6 * PointFloats(channels), PointFloats(channels), 0, 1, taps + 9 * 16);
        });
    });

    /// <summary>Gradients at the points, laid out as packed weights → plain weights.</summary>
    void UnpackWinograd(Tensor packed, Tensor weight, WeightChannels channels) => workers.Run(channels.Slices * channels.InBlocks, (tile, _) =>
    {
        float* taps = stackalloc float[9 * 16 + 36 * 16 + 16];
        taps = (float*)(((nint)taps + 63) & ~63);
        ForWinogradWeights(weight, packed, channels, tile, (plain, stride, count, points) =>
        {
            Transform2d<WeightGradientTransform>(points, 6 * PointFloats(channels), PointFloats(channels), 0, taps, 48, 16, 0, 1, taps + 9 * 16);
            for (int i = 0; i < count; i++, plain += stride)
                for (int tap = 0; tap < 9; tap++) plain[tap] = taps[tap * 16 + i];
        });
    });

    /// Up to sixteen outputs of one input: their nine plain weights, `stride` apart, and the first of their 36 vectors.
    delegate void WinogradWeights(float* plain, int stride, int count, float* points);

    static void ForWinogradWeights(Tensor weight, Tensor packed, WeightChannels channels, int tile, WinogradWeights act)
    {
        int block = tile / channels.InBlocks * Pair, firstIn = tile % channels.InBlocks * 16, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
        float* slice = Of(packed) + block / Pair * channels.SliceFloats(1);
        for (int input = firstIn; input < Math.Min(channels.Ins, firstIn + 16); input++)
            for (int lane = 0; lane < width; lane += 16)
            {
                int output = block * 16 + lane;
                var (outer, inner, stride) = channels.Transposed ? (input, output, 9) : (output, input, channels.Inner * 9);
                act(Of(weight) + ((long)outer * channels.Inner + inner) * 9, stride, Math.Min(16, channels.Outs - output), slice + (long)input * width + lane);
            }
    }
}
