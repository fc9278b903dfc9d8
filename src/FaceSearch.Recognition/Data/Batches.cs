using System.Runtime.InteropServices;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// The endless sequence of training batches: epoch after epoch in drawn orders, batches running on across epochs.
/// A batch is a pure function of (seed, step), so a resumed run needs to know only its step.
/// Values are (v − 127.5) / 127.5, images [batch, 3, size, size].
/// </summary>
public sealed class Batches(FaceSet faces, int size, int batch, int seed, Augmentation augmentation)
{
    /// <summary>What a byte of a photograph is to a network.</summary>
    public static readonly float[] ByteValues = [.. Enumerable.Range(0, 256).Select(v => (v - 127.5f) / 127.5f)];

    (long Epoch, int[] Order) epoch = (-1, []);

    public int Batch => batch;
    public int Size => size;
    /// <summary>Steps in which every image has been seen once, rounded up.</summary>
    public int StepsPerEpoch => (faces.Count + batch - 1) / batch;

    int Length => 3 * size * size;

    /// <summary>Fills [batch, 3, size, size] values and [batch] labels of step 0, 1, …</summary>
    public void Fill(long step, Span<float> images, Span<int> labels)
    {
        for (int i = 0; i < batch; i++)
        {
            int row = Row(step * batch + i);
            labels[i] = faces.Labels[row];
            Image(row, step * batch + i, images.Slice(i * Length, Length));
        }
    }

    /// <summary>
    /// The same into what a device gets next; true: as the photographs' bytes, which a device beside the host makes values of
    /// itself, where they are only moved. For such a device all cores are at work on it.
    /// </summary>
    public bool Fill(long step, StepExchange to)
    {
        if (!to.IsBeside)
        {
            Fill(step, to.Next.Span, to.NextLabels);
            return false;
        }
        bool bytes = augmentation is { Warp: 0, Jitter: 0, Erase: 0 };
        int[] rows = [.. Enumerable.Range(0, batch).Select(i => Row(step * batch + i))];
        Parallel.For(0, batch, i =>
        {
            to.NextLabels[i] = faces.Labels[rows[i]];
            var next = to.Next.Span;
            if (bytes) Bytes(rows[i], step * batch + i, MemoryMarshal.AsBytes(next).Slice(i * Length, Length));
            else Image(rows[i], step * batch + i, next.Slice(i * Length, Length));
        });
        return bytes;
    }

    void Image(int row, long position, Span<float> image)
    {
        var (left, top, mirror) = augmentation.Window(seed, position, faces.Side - size);
        if (augmentation.Warp == 0) Window(faces.Images[row], faces.Side, left, top, size, mirror, image);
        else Warped(faces.Images[row], faces.Side, left, top, size, mirror, augmentation.Warped(seed, position), image);
        augmentation.Light(seed, position, image);
        augmentation.Hide(seed, position, size, image);
    }

    void Bytes(int row, long position, Span<byte> image)
    {
        var (left, top, mirror) = augmentation.Window(seed, position, faces.Side - size);
        Bytes(faces.Images[row], faces.Side, left, top, size, mirror, image);
    }

    /// [size, size, 3]
    static void Bytes(byte[] image, int side, int left, int top, int size, bool mirror, Span<byte> window)
    {
        for (int y = 0; y < size; y++)
        {
            var line = image.AsSpan(((top + y) * side + left) * 3, size * 3);
            var to = window.Slice(y * size * 3, size * 3);
            if (!mirror) line.CopyTo(to);
            else
                for (int x = 0; x < size; x++) line.Slice(3 * (size - 1 - x), 3).CopyTo(to[(3 * x)..]);
        }
    }

    /// <summary>The centre windows of rows first, first + 1, … for evaluation: fills [count, size, size, 3].</summary>
    public static void Centre(FaceSet faces, int first, int count, int size, bool mirror, Span<byte> images)
    {
        int at = (faces.Side - size) / 2, length = 3 * size * size;
        for (int i = 0; i < count; i++)
            Bytes(faces.Images[first + i], faces.Side, at, at, size, mirror, images.Slice(i * length, length));
    }

    int Row(long position)
    {
        long number = position / faces.Count;
        if (epoch.Epoch != number) epoch = (number, Noise.Permutation(faces.Count, (ulong)seed, Purpose.Order.Of(number)));
        return epoch.Order[position % faces.Count];
    }

    static void Window(byte[] image, int side, int left, int top, int size, bool mirror, Span<float> to)
    {
        var scaled = ByteValues;
        int plane = size * size;
        for (int y = 0; y < size; y++)
        {
            var line = image.AsSpan(((top + y) * side + left) * 3, size * 3);
            var red = to.Slice(y * size, size);
            var green = to.Slice(plane + y * size, size);
            var blue = to.Slice(2 * plane + y * size, size);
            for (int x = 0, at = mirror ? size - 1 : 0, by = mirror ? -1 : 1; x < size; x++, at += by)
            {
                red[x] = scaled[line[3 * at]];
                green[x] = scaled[line[3 * at + 1]];
                blue[x] = scaled[line[3 * at + 2]];
            }
        }
    }

    /// The window zoomed and turned about its middle: bilinear between the four nearest pixels, the border continued outwards.
    static void Warped(byte[] image, int side, int left, int top, int size, bool mirror, (float Along, float Across) step, Span<float> to)
    {
        int plane = size * size;
        float middle = (size - 1) / 2f, last = side - 1;
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++)
            {
                float right = (mirror ? size - 1 - x : x) - middle, down = y - middle;
                float u = Math.Clamp(left + middle + right * step.Along - down * step.Across, 0, last);
                float v = Math.Clamp(top + middle + right * step.Across + down * step.Along, 0, last);
                int column = Math.Min((int)u, side - 2), row = Math.Min((int)v, side - 2), at = (row * side + column) * 3, below = at + side * 3;
                u -= column;
                v -= row;
                for (int c = 0; c < 3; c++, at++, below++)
                {
                    float upper = image[at] + u * (image[at + 3] - image[at]), lower = image[below] + u * (image[below + 3] - image[below]);
                    to[c * plane + y * size + x] = (upper + v * (lower - upper) - 127.5f) / 127.5f;
                }
            }
    }
}
