namespace FaceSearch.Tensors;

/// <summary>
/// How the CPU lays tensors out. Maps: nChw16c, that is [images][⌈channels/16⌉][height][width][16 channels], so that
/// one pixel of sixteen channels is one vector register. The lanes past the last channel are always zero: every op
/// keeps them so, and may rely on it. Everything else: plain row-major; vectors have zeros up to the next sixteen.
/// </summary>
static class CpuLayout
{
    public const int Lanes = 16;

    /// Blocks of sixteen channels.
    public static int Blocks(int channels) => (channels + Lanes - 1) / Lanes;

    /// Floats held, padding included.
    public static long Floats(Shape s) =>
        s.IsMap ? (long)s.Images * Blocks(s.Channels) * s.Height * s.Width * Lanes : (s.Count + Lanes - 1) / Lanes * Lanes;

    /// Photographs: three channels would fill sixteen lanes.
    public static bool KeepsFlat(Shape s) => s.IsMap && s.Channels == 3;

    /// Bytes the pool holds: floats rounded up to an eighth of the next power of two, so that sizes are reused.
    public static long Bytes(Shape s)
    {
        long bytes = 4 * Floats(s), step = Math.Max(64, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes) / 16);
        return (bytes + step - 1) / step * step;
    }
}
