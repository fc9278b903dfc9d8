using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// How training images are changed by chance. Each change is a pure function of (seed, position in the sequence of
/// images), drawn from a stream of its own: turning one on leaves the others as they were.
/// </summary>
/// <param name="Shift">Windows anywhere in the stored image, not only in its middle.</param>
/// <param name="Flip">Mirrors half of the images.</param>
/// <param name="Jitter">Largest change of contrast, and of brightness in half ranges; a quarter of it for each colour.</param>
/// <param name="Erase">Share of the images in which a rectangle of one colour hides a part (random erasing, Zhong et al. 2020).</param>
public sealed record Augmentation(bool Shift = true, bool Flip = true, double Jitter = 0, double Erase = 0)
{
    // Sides of the erased rectangle as shares of the image's.
    const float SmallestErased = 0.15f, LargestErased = 0.5f;

    static readonly float[] Plain = [.. Enumerable.Range(0, 3 * 256).Select(i => ((i & 255) - 127.5f) / 127.5f)];

    public static Augmentation Of(TrainSettings train) => new(Flip: train.Flip, Jitter: train.Jitter, Erase: train.Erase);

    /// <summary>Where the window of an image stands among <paramref name="free"/> + 1 places each way, and whether it is mirrored.</summary>
    internal (int Left, int Top, bool Mirror) Window(int seed, long position, int free)
    {
        ulong bits = Noise.Bits((ulong)seed, Purpose.Window.Of(), (ulong)position);
        int Place(ulong sixteen) => Shift ? (int)((sixteen & 0xFFFF) * (ulong)(free + 1) >> 16) : free / 2;
        return (Place(bits), Place(bits >> 16), Flip && (bits >> 32 & 1) != 0);
    }

    /// <summary>Network inputs of the 256 values of red, green and blue: (v − 127.5) / 127.5, in a light of its own where there is jitter.</summary>
    internal ReadOnlySpan<float> Light(int seed, long position, Span<float> room)
    {
        if (Jitter == 0) return Plain;
        var d = new Draws(seed, Purpose.Light.Of(position));
        float jitter = (float)Jitter, contrast = 1 + d.Between(-jitter, jitter), brightness = d.Between(-jitter, jitter);
        for (int c = 0; c < 3; c++)
        {
            float offset = brightness + d.Between(-jitter, jitter) / 4;
            for (int v = 0; v < 256; v++) room[c * 256 + v] = Math.Clamp(contrast * Plain[v] + offset, -1, 1);
        }
        return room;
    }

    /// <summary>Hides a part of an image [3, size, size], or leaves it as it is.</summary>
    internal void Hide(int seed, long position, int size, Span<float> image)
    {
        if (Erase == 0) return;
        var d = new Draws(seed, Purpose.Erase.Of(position));
        if (!d.Chance((float)Erase)) return;
        int width = (int)(size * d.Between(SmallestErased, LargestErased)), height = (int)(size * d.Between(SmallestErased, LargestErased));
        int left = d.Below(size - width + 1), top = d.Below(size - height + 1);
        for (int c = 0; c < 3; c++)
        {
            float colour = d.Between(-1, 1);
            for (int y = top; y < top + height; y++) image.Slice((c * size + y) * size + left, width).Fill(colour);
        }
    }
}
