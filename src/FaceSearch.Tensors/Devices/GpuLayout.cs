namespace FaceSearch.Tensors;

/// <summary>
/// How a GPU lays tensors out. Maps: NHWC, that is [images][height][width][pitch], so that the threads of a warp read
/// neighbouring channels of one pixel; the pitch is the number of channels rounded up to eight, and the lanes past the last
/// channel are always zero: every op keeps them so, and may rely on it. Everything else: plain row-major, no padding.
/// </summary>
static class GpuLayout
{
    /// Whole tensor-core fragments and 16-byte loads: eight half-precision values, or two loads of four floats.
    public const int Lanes = 8;
    /// Every tensor starts at a multiple of so many bytes.
    public const int Alignment = 256;

    /// Elements from one pixel of a map to the next.
    public static int Pitch(int channels) => (channels + Lanes - 1) / Lanes * Lanes;

    /// Elements held, padding included.
    public static long Elements(Shape s) => s.IsMap ? (long)s.Images * s.Height * s.Width * Pitch(s.Channels) : s.Count;

    /// Bytes the pool holds: elements of so many bytes, rounded up to a sixteenth of the next power of two, so that sizes are reused.
    public static long Bytes(Shape s, int each = 4)
    {
        long bytes = each * Elements(s), step = Math.Max(Alignment, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)bytes) / 16);
        return (bytes + step - 1) / step * step;
    }
}

/// <summary>
/// A map or a matrix as rows of columns: a pixel's channels, or a row's elements. What the passes over channels run on.
/// </summary>
readonly struct GpuRows
{
    /// Pixels of all images, or rows.
    public readonly int Rows;
    public readonly int Columns;
    /// Columns with the padding lanes.
    public readonly int Pitch;
    /// Rows of one image.
    public readonly int Area;

    public GpuRows(Shape s)
    {
        Area = s.IsMap ? s.Height * s.Width : 1;
        Rows = checked(s.Rows * Area);
        Columns = s.IsMap ? s.Channels : s.Cols;
        Pitch = s.IsMap ? GpuLayout.Pitch(s.Channels) : s.Cols;
    }

    public long At(int row, int column) => (long)row * Pitch + column;
}
