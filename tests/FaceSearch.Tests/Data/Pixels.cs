using FaceSearch.Recognition.Data;

namespace FaceSearch.Tests.Data;

/// <summary>Centre windows as the values that a network sees, [count, 3, size, size].</summary>
static class Pixels
{
    public static void Centre(FaceSet faces, int first, int count, int size, bool mirror, Span<float> values)
    {
        var bytes = new byte[3 * count * size * size];
        Batches.Centre(faces, first, count, size, mirror, bytes);
        int area = size * size;
        for (int i = 0; i < count * area; i++)
            for (int c = 0; c < 3; c++) values[(i / area * 3 + c) * area + i % area] = Batches.ByteValues[bytes[3 * i + c]];
    }
}
