namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Flatten(Tensor map, Tensor matrix)
    {
        float* from = Of(map), to = Of(matrix);
        ForBlocks(map.Shape, (pixels, planes, area, channels) => Deinterleave(from + pixels, to + planes, area, channels));
    }

    internal override void Unflatten(Tensor matrix, Tensor map)
    {
        float* from = Of(matrix), to = Of(map);
        ForBlocks(map.Shape, (pixels, planes, area, channels) => Interleave(from + planes, to + pixels, area, channels));
    }

    /// Runs over the blocks of sixteen channels of a map: where they start in its memory and in row-major order, area, channels.
    void ForBlocks(Shape s, Action<long, long, int, int> block)
    {
        int blocks = CpuLayout.Blocks(s.Channels), area = s.Height * s.Width;
        ForPlanes(s, (plane, start, _) =>
        {
            int image = plane / blocks, channel = plane % blocks * 16;
            block(start, ((long)image * s.Channels + channel) * area, area, Math.Min(16, s.Channels - channel));
        });
    }

    /// Pixels of sixteen lanes → planes of up to sixteen channels.
    static void Deinterleave(float* pixels, float* planes, int area, int channels)
    {
        for (int i = 0; i < area; i++, pixels += 16)
            for (int c = 0; c < channels; c++) planes[(long)c * area + i] = pixels[c];
    }
}
