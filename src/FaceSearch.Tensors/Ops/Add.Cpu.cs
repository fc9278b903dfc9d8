using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Add(Tensor a, Tensor b, Tensor y)
    {
        if (a.Deferred is null && b.Deferred is null)
        {
            float* p = Of(a), q = Of(b), to = Of(y);
            ForFloats(a.Shape, (start, end) => AddTile(p + start, q + start, to + start, end - start));
            return;
        }
        if (a.Deferred is null) (a, b) = (b, a);
        var view = new Channels(y.Shape);
        Normalised left = a.Deferred!;
        var right = b.Deferred;
        float* x = Of(left.Source), z = Of(right?.Source ?? b), sum = Of(y);
        if (Streams(y.Shape)) AddTiles<Streamed>();
        else AddTiles<Whole>();

        void AddTiles<R>() where R : struct, IReach => ForPlanes(view, null, 0, (block, at, _) =>
        {
            var load = new NormaliseOnLoad<V>(left, block);
            if (right is null) AddPlane<NormaliseOnLoad<V>, AsItIs<V>, R>(view.Pixels, x + at, load, z + at, default, sum + at);
            else AddPlane<NormaliseOnLoad<V>, NormaliseOnLoad<V>, R>(view.Pixels, x + at, load, z + at, new(right, block), sum + at);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddPlane<A, B, R>(int pixels, float* a, A onA, float* b, B onB, float* y) where A : struct, IOnLoad<V> where B : struct, IOnLoad<V> where R : struct, IReach
    {
        var (left, right) = (onA, onB);
        for (long i = 0; i < pixels * 16L; i += 16) R.Store(left.Apply(V.Load(a + i)) + right.Apply(V.Load(b + i)), y + i, CpuLayout.Lanes);
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
