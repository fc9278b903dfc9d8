using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Add(Tensor a, Tensor b, Tensor y)
    {
        float* p = Of(a), q = Of(b), to = Of(y);
        ForFloats(a.Shape, (start, end) => AddTile(p + start, q + start, to + start, end - start));
    }

    internal override void Copy(Tensor x, Tensor y)
    {
        float* from = Of(x), to = Of(y);
        ForFloats(x.Shape, (start, end) => new Span<float>(from + start, (int)(end - start)).CopyTo(new(to + start, (int)(end - start))));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddTile(float* a, float* b, float* y, long n)
    {
        for (long i = 0; i < n; i += 16) V.Store(V.Load(a + i) + V.Load(b + i), y + i);
    }
}
