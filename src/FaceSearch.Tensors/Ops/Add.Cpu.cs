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

        void AddTiles<R>() where R : struct, IReach => workers.Run(view.Tiles, (tile, _) =>
        {
            var load = new NormaliseOnLoad<V>(left, view.Block(tile));
            if (right is null) AddLoadedTile<NormaliseOnLoad<V>, AsItIs<V>, R>(view, tile, x, load, z, default, sum);
            else AddLoadedTile<NormaliseOnLoad<V>, NormaliseOnLoad<V>, R>(view, tile, x, load, z, new(right, view.Block(tile)), sum);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddLoadedTile<A, B, R>(Channels view, int tile, float* a, A left, float* b, B right, float* y) where A : struct, IOnLoad<V> where B : struct, IOnLoad<V> where R : struct, IReach
    {
        int block = view.Block(tile), floats = view.Pixels * view.Stride, end = view.EndImage(tile);
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            long at = view.Offset(n, block), ahead = view.Ahead(tile, n);
            for (long i = at; i < at + floats; i += 16)
            {
                Lanes.Prefetch(a + i + ahead, 1);
                Lanes.Prefetch(b + i + ahead, 1);
                R.Store(left.Apply(V.Load(a + i)) + right.Apply(V.Load(b + i)), y + i, CpuLayout.Lanes);
            }
        }
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
