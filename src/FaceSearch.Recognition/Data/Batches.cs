using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// The endless sequence of training batches: epoch after epoch in drawn orders, batches running on across epochs.
/// A batch is a pure function of (seed, step), so a resumed run needs to know only its step.
/// Values are (v − 127.5) / 127.5, images [batch, 3, size, size].
/// </summary>
public sealed class Batches(FaceSet faces, int size, int batch, int seed, Augmentation augmentation)
{
    static readonly Augmentation None = new(Shift: false, Flip: false);
    (long Epoch, int[] Order) epoch = (-1, []);

    public int Batch => batch;
    public int Size => size;
    /// <summary>Steps in which every image has been seen once, rounded up.</summary>
    public int StepsPerEpoch => (faces.Count + batch - 1) / batch;

    /// <summary>Fills [batch, 3, size, size] values and [batch] labels of step 0, 1, …</summary>
    public void Fill(long step, Span<float> images, Span<int> labels)
    {
        int length = 3 * size * size;
        Span<float> room = stackalloc float[3 * 256];
        for (int i = 0; i < batch; i++)
        {
            long position = step * batch + i;
            int row = Row(position);
            var (left, top, mirror) = augmentation.Window(seed, position, faces.Side - size);
            var image = images.Slice(i * length, length);
            Window(faces.Images[row], faces.Side, left, top, size, mirror, augmentation.Light(seed, position, room), image);
            augmentation.Hide(seed, position, size, image);
            labels[i] = faces.Labels[row];
        }
    }

    /// <summary>The centre windows of rows first, first + 1, … for evaluation: fills [count, 3, size, size].</summary>
    public static void Centre(FaceSet faces, int first, int count, int size, bool mirror, Span<float> images)
    {
        int at = (faces.Side - size) / 2, length = 3 * size * size;
        for (int i = 0; i < count; i++)
            Window(faces.Images[first + i], faces.Side, at, at, size, mirror, None.Light(0, 0, []), images.Slice(i * length, length));
    }

    int Row(long position)
    {
        long number = position / faces.Count;
        if (epoch.Epoch != number) epoch = (number, Noise.Permutation(faces.Count, (ulong)seed, Purpose.Order.Of(number)));
        return epoch.Order[position % faces.Count];
    }

    /// <param name="light">Values of red, green and blue, 256 each.</param>
    static void Window(byte[] image, int side, int left, int top, int size, bool mirror, ReadOnlySpan<float> light, Span<float> to)
    {
        int plane = size * size;
        ReadOnlySpan<float> reds = light[..256], greens = light.Slice(256, 256), blues = light.Slice(512, 256);
        for (int y = 0; y < size; y++)
        {
            var line = image.AsSpan(((top + y) * side + left) * 3, size * 3);
            var red = to.Slice(y * size, size);
            var green = to.Slice(plane + y * size, size);
            var blue = to.Slice(2 * plane + y * size, size);
            for (int x = 0, at = mirror ? size - 1 : 0, by = mirror ? -1 : 1; x < size; x++, at += by)
            {
                red[x] = reds[line[3 * at]];
                green[x] = greens[line[3 * at + 1]];
                blue[x] = blues[line[3 * at + 2]];
            }
        }
    }
}
