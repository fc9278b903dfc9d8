using SkiaSharp;

namespace FaceSearch.Recognition.Data;

/// <summary>A decoded photograph: Height × Width pixels of 1 (grey) or 4 (red, green, blue, unused) bytes.</summary>
sealed record Photograph(byte[] Pixels, int Width, int Height, int BytesPerPixel)
{
    const int LeastSide = 8;

    /// <summary>Decodes JPEG, PNG or PGM. Throws <see cref="InvalidDataException"/> with the reason where it cannot.</summary>
    public static Photograph Decode(byte[] file)
    {
        if (file.Length == 0) throw new InvalidDataException("empty file");
        bool pgm = file.Length > 2 && file[0] == 'P' && file[1] is (byte)'2' or (byte)'5' && char.IsWhiteSpace((char)file[2]);
        var photo = pgm ? Pgm.Decode(file) : DecodeBySkia(file);
        if (Math.Min(photo.Width, photo.Height) < LeastSide)
            throw new InvalidDataException($"{photo.Width}×{photo.Height} pixels is too small, at least {LeastSide}×{LeastSide} is needed");
        return photo;
    }

    static Photograph DecodeBySkia(byte[] file)
    {
        using var data = SKData.CreateCopy(file);
        using var codec = SKCodec.Create(data) ?? throw new InvalidDataException("not an image: neither JPEG, PNG nor PGM inside");
        // No colour space: the stored values are taken as they are, on every machine alike.
        var info = new SKImageInfo(codec.Info.Width, codec.Info.Height, SKColorType.Rgba8888, SKAlphaType.Premul);
        var pixels = new byte[info.BytesSize];
        SKCodecResult result;
        unsafe
        {
            fixed (byte* p = pixels) result = codec.GetPixels(info, (nint)p);
        }
        if (result != SKCodecResult.Success)
            throw new InvalidDataException($"truncated or damaged image ({result})");
        return new Photograph(pixels, info.Width, info.Height, 4).Upright(codec.EncodedOrigin);
    }

    /// Cameras store how they were held; without this, photographs of telephones lie on their side.
    Photograph Upright(SKEncodedOrigin origin)
    {
        if (origin is SKEncodedOrigin.TopLeft) return this;
        bool turned = origin is SKEncodedOrigin.LeftTop or SKEncodedOrigin.RightTop or SKEncodedOrigin.RightBottom or SKEncodedOrigin.LeftBottom;
        int right = Width - 1, bottom = Height - 1, width = turned ? Height : Width, height = turned ? Width : Height;
        var to = new byte[Pixels.Length];
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
            {
                var (fromX, fromY) = origin switch
                {
                    SKEncodedOrigin.TopRight => (right - x, y),
                    SKEncodedOrigin.BottomRight => (right - x, bottom - y),
                    SKEncodedOrigin.BottomLeft => (x, bottom - y),
                    SKEncodedOrigin.LeftTop => (y, x),
                    SKEncodedOrigin.RightTop => (y, bottom - x),
                    SKEncodedOrigin.RightBottom => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                Pixels.AsSpan((fromY * Width + fromX) * 4, 4).CopyTo(to.AsSpan((y * width + x) * 4));
            }
        return new(to, width, height, 4);
    }
}

/// <summary>Portable grey maps: P2 (text) and P5 (binary), 8 and 16 bits (Netpbm's format).</summary>
static class Pgm
{
    public static Photograph Decode(ReadOnlySpan<byte> file)
    {
        bool text = file[1] == '2';
        int at = 2;
        int width = Number(file, ref at), height = Number(file, ref at), max = Number(file, ref at);
        if (width < 1 || height < 1 || (long)width * height > int.MaxValue || max is < 1 or > 65535)
            throw new InvalidDataException($"PGM header says {width}×{height}, largest value {max}; expected positive sizes and 1 to 65535");
        var pixels = new byte[width * height];
        int bytes = max > 255 ? 2 : 1;
        at++;
        if (!text && file.Length - at < (long)pixels.Length * bytes)
            throw new InvalidDataException($"truncated PGM: {Math.Max(0, file.Length - at)} bytes of pixels, {(long)pixels.Length * bytes} expected");
        for (int i = 0; i < pixels.Length; i++)
        {
            int value = text ? Number(file, ref at) : bytes == 1 ? file[at + i] : file[at + 2 * i] << 8 | file[at + 2 * i + 1];
            pixels[i] = (byte)((Math.Min(value, max) * 255 + max / 2) / max);
        }
        return new(pixels, width, height, 1);
    }

    static int Number(ReadOnlySpan<byte> file, ref int at)
    {
        while (at < file.Length && (file[at] == '#' || char.IsWhiteSpace((char)file[at])))
            if (file[at] == '#')
                while (at < file.Length && file[at] != '\n') at++;
            else at++;
        int start = at, value = 0;
        for (; at < file.Length && char.IsAsciiDigit((char)file[at]) && at - start < 9; at++) value = value * 10 + file[at] - '0';
        return at > start ? value : throw new InvalidDataException($"damaged or truncated PGM: a number is missing at byte {start}");
    }
}
