using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Multiply(Tensor a, Tensor b, Tensor y)
    {
        float* p = Of(a), q = Of(b), to = Of(y);
        ForFloats(a.Shape, (start, end) => MultiplyTile(p + start, q + start, to + start, end - start));
    }

    internal override void MultiplyPlanes(Tensor a, Tensor s, Tensor y)
    {
        float* from = Of(a), factors = Of(s), to = Of(y);
        ForPlanes(a.Shape, (plane, start, floats) => MultiplyPlane(from + start, factors + 16L * plane, to + start, floats));
    }

    internal override void SumOfProducts(Tensor a, Tensor b, Tensor s)
    {
        float* p = Of(a), q = Of(b), to = Of(s);
        ForPlanes(a.Shape, (plane, start, floats) => SumOfProducts(p + start, q + start, to + 16L * plane, floats));
    }

    /// Runs over the planes of sixteen channels of a map, several to a tile: number, first float, floats.
    void ForPlanes(Shape s, Action<int, long, int> plane)
    {
        int floats = 16 * s.Height * s.Width, planes = s.Images * CpuLayout.Blocks(s.Channels), perTile = Math.Max(1, TileFloats / floats);
        workers.Run((planes + perTile - 1) / perTile, (tile, _) =>
        {
            for (int i = tile * perTile; i < Math.Min(planes, (tile + 1) * perTile); i++) plane(i, (long)i * floats, floats);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void MultiplyTile(float* a, float* b, float* y, long n)
    {
        for (long i = 0; i < n; i += 16) V.Store(V.Load(a + i) * V.Load(b + i), y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void MultiplyPlane(float* a, float* factors, float* y, int n)
    {
        V s = V.Load(factors);
        for (int i = 0; i < n; i += 16) V.Store(V.Load(a + i) * s, y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void SumOfProducts(float* a, float* b, float* sums, int n)
    {
        V even = V.Zero, odd = V.Zero;
        int i = 0;
        for (; i + 32 <= n; i += 32)
        {
            V.AddProduct(ref even, V.Load(a + i), V.Load(b + i));
            V.AddProduct(ref odd, V.Load(a + i + 16), V.Load(b + i + 16));
        }
        if (i < n) V.AddProduct(ref even, V.Load(a + i), V.Load(b + i));
        V.Store(even + odd, sums);
    }
}
