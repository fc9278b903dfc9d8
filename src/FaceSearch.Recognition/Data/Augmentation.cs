using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// How training images are changed by chance. Each change is a pure function of (seed, position in the sequence of
/// images), drawn from a stream of its own: turning one on leaves the others as they were.
/// </summary>
/// <param name="Shift">Windows anywhere in the stored image, not only in its middle.</param>
/// <param name="Flip">Mirrors half of the images.</param>
/// <param name="Warp">Largest change of size, and largest turn in radians.</param>
/// <param name="Jitter">Largest change of contrast, and of brightness in half ranges; a quarter of it for each colour.</param>
/// <param name="Erase">Share of the images in which a rectangle of one colour hides a part (random erasing, Zhong et al. 2020).</param>
public sealed record Augmentation(bool Shift = true, bool Flip = true, double Warp = 0, double Jitter = 0, double Erase = 0)
{
    // Sides of the erased rectangle as shares of the image's.
    const float SmallestErased = 0.15f, LargestErased = 0.5f;

    public static Augmentation Of(TrainSettings train) => new(Flip: train.Flip, Warp: train.Warp, Jitter: train.Jitter, Erase: train.Erase);

    /// <summary>Where the window of an image stands among <paramref name="free"/> + 1 places each way, and whether it is mirrored.</summary>
    internal (int Left, int Top, bool Mirror) Window(int seed, long position, int free)
    {
        ulong bits = Noise.Bits((ulong)seed, Purpose.Window.Of(), (ulong)position);
        int Place(ulong sixteen) => Shift ? (int)((sixteen & 0xFFFF) * (ulong)(free + 1) >> 16) : free / 2;
        return (Place(bits), Place(bits >> 16), Flip && (bits >> 32 & 1) != 0);
    }

    /// <summary>Puts an image [3, size, size] in a light of its own, or leaves it as it is.</summary>
    internal void Light(int seed, long position, Span<float> image)
    {
        if (Jitter == 0) return;
        var d = new Draws(seed, Purpose.Light.Of(position));
        float jitter = (float)Jitter, contrast = 1 + d.Between(-jitter, jitter), brightness = d.Between(-jitter, jitter);
        for (int c = 0; c < 3; c++)
        {
            float offset = brightness + d.Between(-jitter, jitter) / 4;
            foreach (ref float v in image.Slice(c * image.Length / 3, image.Length / 3)) v = Math.Clamp(contrast * v + offset, -1, 1);
        }
    }

    /// <summary>
    /// Zoom and turn of the window of an image about its middle: a step to the right in the window is (Along, Across) in
    /// the stored image, a step down (−Across, Along). The turn is by the tangent of its half, so that no two machines differ.
    /// </summary>
    internal (float Along, float Across) Warped(int seed, long position)
    {
        var d = new Draws(seed, Purpose.Warp.Of(position));
        float zoom = 1 + d.Between(-(float)Warp, (float)Warp), half = d.Between(-(float)Warp, (float)Warp) / 2, unit = 1 + half * half;
        return (zoom * (1 - half * half) / unit, zoom * 2 * half / unit);
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
