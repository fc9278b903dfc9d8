using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope)
    {
        var view = new Channels(x.Shape);
        float* from = Of(x), a = Of(slope), d = Of(dy), to = Of(dx), partials = Scratch(0, 32L * view.Tiles);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) PReluBackwardTile<Whole>(view, tile, from, a, d, to, partials + 32L * tile);
            else PReluBackwardTile<Part>(view, tile, from, a, d, to, partials + 32L * tile);
        });
        for (int c = 0; c < x.Shape.Channels; c++)
        {
            Of(dslope)[c] = (float)(Total(view, partials, 32, c) + Total(view, partials + 16, 32, c));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PReluBackwardTile<R>(Channels view, int tile, float* x, float* slope, float* dy, float* dx, float* partial) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        V a = V.Load(slope + 16 * block), even = V.Zero, odd = V.Zero;
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = dy + view.Offset(n, block), r = dx + view.Offset(n, block);
            for (int i = 0; i < pixels; i++, p += stride, q += stride, r += stride)
            {
                V v = R.Load<V>(p, lanes), d = R.Load<V>(q, lanes);
                R.Store(V.IfPositive(v, d, a * d), r, lanes);
                // Two sums in turn halve the chain of additions.
                (even, odd) = (odd + V.IfPositive(v, V.Zero, v * d), even);
            }
        }
        V.Store(even, partial);
        V.Store(odd, partial + 16);
    }
}
