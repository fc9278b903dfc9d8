using System.Globalization;

namespace FaceSearch.Recognition.Data;

/// <summary>The rectangle of a photograph, in its pixels, that becomes the network's input.</summary>
public readonly record struct CropBox(int X, int Y, int Width, int Height)
{
    /// <summary>The setting Data.Crop: `x,y,width,height`, or empty (null: the largest centred square).</summary>
    public static CropBox? Parse(string text)
    {
        if (string.IsNullOrWhiteSpace(text)) return null;
        var parts = text.Split(',');
        var n = new int[4];
        bool numbers = parts.Length == 4 && Enumerable.Range(0, 4).All(i =>
            int.TryParse(parts[i], NumberStyles.AllowLeadingSign | NumberStyles.AllowLeadingWhite | NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out n[i]));
        if (!numbers || n[2] < 1 || n[3] < 1)
            throw new InputException($"Data.Crop: '{text}' is no crop box, expected x,y,width,height in whole pixels such as 59,50,132,132");
        return new(n[0], n[1], n[2], n[3]);
    }

    public static CropBox Centred(int width, int height)
    {
        int side = Math.Min(width, height);
        return new((width - side) / 2, (height - side) / 2, side, side);
    }

    public bool Touches(int width, int height) => X < width && Y < height && X + (long)Width > 0 && Y + (long)Height > 0;
}

/// <summary>
/// Crop and resize in one step: triangle filter as wide as the reduction (no aliasing), bilinear where it enlarges;
/// the border of the photograph is replicated outwards.
/// </summary>
static class Resample
{
    readonly record struct Taps(int[] First, float[][] Weights);

    /// <summary>The box becomes the inner size × size of the result, the margin is taken from around it. [side, side, 3]</summary>
    public static byte[] Crop(Photograph photo, CropBox box, int size, int margin)
    {
        int side = size + 2 * margin;
        Taps across = Axis(box.X, box.Width, size, margin), down = Axis(box.Y, box.Height, size, margin);
        int top = Math.Clamp(down.First[0], 0, photo.Height - 1);
        int bottom = Math.Clamp(down.First[^1] + down.Weights[^1].Length - 1, 0, photo.Height - 1);
        var rows = new float[(bottom - top + 1) * side * 3];
        for (int y = top; y <= bottom; y++)
            Across(photo, y, across, rows.AsSpan((y - top) * side * 3, side * 3));
        var result = new byte[side * side * 3];
        var sum = new float[side * 3];
        for (int i = 0; i < side; i++)
        {
            Array.Clear(sum);
            for (int k = 0; k < down.Weights[i].Length; k++)
            {
                int y = Math.Clamp(down.First[i] + k, top, bottom);
                var row = rows.AsSpan((y - top) * side * 3, side * 3);
                float weight = down.Weights[i][k];
                for (int j = 0; j < sum.Length; j++) sum[j] += weight * row[j];
            }
            for (int j = 0; j < sum.Length; j++) result[i * sum.Length + j] = (byte)Math.Clamp(sum[j] + 0.5f, 0, 255);
        }
        return result;
    }

    static void Across(Photograph photo, int y, Taps taps, Span<float> to)
    {
        int bytes = photo.BytesPerPixel, green = bytes == 1 ? 0 : 1, blue = bytes == 1 ? 0 : 2;
        var line = photo.Pixels.AsSpan(y * photo.Width * bytes, photo.Width * bytes);
        for (int i = 0; i < taps.First.Length; i++)
        {
            float r = 0, g = 0, b = 0;
            var weights = taps.Weights[i];
            for (int k = 0; k < weights.Length; k++)
            {
                int at = Math.Clamp(taps.First[i] + k, 0, photo.Width - 1) * bytes;
                r += weights[k] * line[at];
                g += weights[k] * line[at + green];
                b += weights[k] * line[at + blue];
            }
            (to[3 * i], to[3 * i + 1], to[3 * i + 2]) = (r, g, b);
        }
    }

    static Taps Axis(int origin, int length, int size, int margin)
    {
        int side = size + 2 * margin;
        double scale = (double)length / size, reach = Math.Max(scale, 1);
        var first = new int[side];
        var weights = new float[side][];
        for (int i = 0; i < side; i++)
        {
            double centre = origin + (i + 0.5 - margin) * scale;
            first[i] = (int)Math.Ceiling(centre - reach - 0.5);
            int last = (int)Math.Floor(centre + reach - 0.5);
            var w = new double[last - first[i] + 1];
            for (int k = 0; k < w.Length; k++) w[k] = Math.Max(0, 1 - Math.Abs(first[i] + k + 0.5 - centre) / reach);
            double total = w.Sum();
            weights[i] = Array.ConvertAll(w, v => (float)(v / total));
        }
        return new(first, weights);
    }
}
