using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope)
    {
        var view = new Channels(x.Shape);
        float* from = Of(x), a = Of(slope), d = Of(dy), to = Of(dx), partials = Scratch(0, 16L * view.Partials);
        ForPlanes(view, partials, 16, (block, at, partial) =>
        {
            if (view.Lanes(block) == 16) PReluBackwardPlane<Whole>(view, block, from + at, a, d + at, to + at, partial);
            else PReluBackwardPlane<Part>(view, block, from + at, a, d + at, to + at, partial);
        });
        for (int c = 0; c < x.Shape.Channels; c++) Of(dslope)[c] = (float)Total(view, partials, 16, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PReluBackwardPlane<R>(Channels view, int block, float* x, float* slope, float* dy, float* dx, float* partial) where R : struct, IReach
    {
        int lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride;
        V a = V.Load(slope + 16 * block), even = V.Load(partial), odd = V.Zero;
        for (int i = 0; i < pixels; i++, x += stride, dy += stride, dx += stride)
        {
            V v = R.Load<V>(x, lanes), d = R.Load<V>(dy, lanes);
            R.Store(V.IfPositive(v, d, a * d), dx, lanes);
            // Two sums in turn halve the chain of additions.
            (even, odd) = (odd + V.IfPositive(v, V.Zero, v * d), even);
        }
        V.Store(even + odd, partial);
    }
}
