using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>Yes or no known to the compiler: a kernel is written once and compiled with and without a part.</summary>
interface IChoice
{
    static abstract bool Is { get; }
}

readonly struct Yes : IChoice { public static bool Is => true; }
readonly struct No : IChoice { public static bool Is => false; }

/// <summary>
/// Depthwise 3×3 with a border of one, on one channel block: a window slides along a row in registers, so that a pixel is loaded
/// once for each row of outputs that takes it, and what lies left and right of the row is zero without being stored anywhere.
/// `above`, `here` and `below` are the rows around the first pixel; what lies `ahead` of a pixel is asked for with it.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    /// <summary>
    /// y[i, j] = Σ_{a, b} x[T·i + a − 1, T·j + b − 1] · w[a, b], T the step, for rows of outputs one after the other.
    /// x: rows of `width`; y: [rows, ⌈width / T⌉], changed by L as it is stored. Where M, the sums of y − k and (y − k)² are added to moments [k, Σ, Σ²].
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void SlideRows<T, M, S, L>(float* above, float* here, float* below, float* w, float* y, int rows, int width, long ahead, float* moments, L last)
        where T : ISize where M : IChoice where S : IChoice where L : struct, IOnLoad<V>
    {
        V w0 = V.Load(w), w1 = V.Load(w + 16), w2 = V.Load(w + 32), w3 = V.Load(w + 48), w4 = V.Load(w + 64), w5 = V.Load(w + 80), w6 = V.Load(w + 96), w7 = V.Load(w + 112), w8 = V.Load(w + 128);
        V k = M.Is ? V.Load(moments) : V.Zero, sum = M.Is ? V.Load(moments + 16) : V.Zero, squares = M.Is ? V.Load(moments + 32) : V.Zero;
        for (int row = 0; row < rows; row++)
        {
            V a0 = V.Zero, a1 = V.Load(above), b0 = V.Zero, b1 = V.Load(here), c0 = V.Zero, c1 = V.Load(below);
            for (int right = 1; ; right += T.Value, y += 16)
            {
                above += 16;
                here += 16;
                below += 16;
                V a2 = V.Zero, b2 = V.Zero, c2 = V.Zero;
                if (right < width)
                {
                    a2 = V.Load(above);
                    b2 = V.Load(here);
                    c2 = V.Load(below);
                }
                Lanes.Prefetch(here + ahead, T.Value);
                if (T.Value > 1) Lanes.Prefetch(below + ahead, T.Value);
                // Three short chains of sums: one of nine would wait for itself.
                V v = V.Fma(a2, w2, V.Fma(a1, w1, a0 * w0)) + V.Fma(b2, w5, V.Fma(b1, w4, b0 * w3)) + V.Fma(c2, w8, V.Fma(c1, w7, c0 * w6));
                if (M.Is)
                {
                    V offset = v - k;
                    sum += offset;
                    V.AddProduct(ref squares, offset, offset);
                }
                v = last.Apply(v);
                if (S.Is) V.Stream(v, y);
                else V.Store(v, y);
                if (right + T.Value > width) break;
                (a0, a1, b0, b1, c0, c1) = (a1, a2, b1, b2, c1, c2);
                if (T.Value == 1) continue;
                above += 16;
                here += 16;
                below += 16;
                (a0, a1, b0, b1, c0, c1) = (a1, V.Load(above), b1, V.Load(here), c1, V.Load(below));
            }
            y += 16;
            // After the last pixel comes the next row, at step 2 the next but one; there an even width leaves the pointers one pixel short.
            if (T.Value == 1) continue;
            long skip = (width + 1 - (width & 1)) * 16L;
            above += skip;
            here += skip;
            below += skip;
        }
        if (!M.Is) return;
        V.Store(sum, moments + 16);
        V.Store(squares, moments + 32);
    }

    // What a pass back sums: nine gradients of weights, and what the batch norm before needs (IOnLoad).
    const int SlidingSums = 12;

    /// <summary>
    /// Both gradients at step 1. The window of dy around a pixel is all that its dx takes, and all that its x is multiplied
    /// with: dx[i, j] = Σ_{a, b} dy[i + a − 1, j + b − 1] · w[a, b], dw[a, b] += Σ_{i, j} x[i, j] · dy[i + a − 1, j + b − 1];
    /// so w and dw are the kernel's own turned by half a turn. `above`, `here` and `below` are rows of dy.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void SlideBack<L, S>(float* above, float* here, float* below, float* x, float* w, float* dx, float* dw, int rows, int width, L load) where L : struct, IOnLoad<V> where S : IChoice
    {
        V d0 = V.Load(dw), d1 = V.Load(dw + 16), d2 = V.Load(dw + 32), d3 = V.Load(dw + 48), d4 = V.Load(dw + 64), d5 = V.Load(dw + 80), d6 = V.Load(dw + 96), d7 = V.Load(dw + 112), d8 = V.Load(dw + 128);
        V w0 = V.Load(w), w1 = V.Load(w + 16), w2 = V.Load(w + 32), w3 = V.Load(w + 48), w4 = V.Load(w + 64), w5 = V.Load(w + 80), w6 = V.Load(w + 96), w7 = V.Load(w + 112), w8 = V.Load(w + 128);
        V h = V.Load(dw + 144), along = V.Load(dw + 160), ofSlope = V.Load(dw + 176);
        for (int row = 0; row < rows; row++)
        {
            V a0 = V.Zero, a1 = V.Load(above), b0 = V.Zero, b1 = V.Load(here), c0 = V.Zero, c1 = V.Load(below);
            for (int right = 1; right <= width; right++, x += 16, dx += 16)
            {
                above += 16;
                here += 16;
                below += 16;
                V a2 = V.Zero, b2 = V.Zero, c2 = V.Zero;
                if (right < width)
                {
                    a2 = V.Load(above);
                    b2 = V.Load(here);
                    c2 = V.Load(below);
                }
                Lanes.Prefetch(here + AheadFloats, 1);
                Lanes.Prefetch(x + AheadFloats, 1);
                // x is loaded before dx is stored: maps often lie a multiple of 4 KiB apart, and the processor takes the one address for the other.
                V u = V.Load(x);
                V v = V.Fma(a2, w2, V.Fma(a1, w1, a0 * w0)) + V.Fma(b2, w5, V.Fma(b1, w4, b0 * w3)) + V.Fma(c2, w8, V.Fma(c1, w7, c0 * w6));
                if (S.Is) V.Stream(v, dx);
                else V.Store(v, dx);
                u = load.Apply(u, v, ref h, ref along, ref ofSlope);
                V.AddProduct(ref d0, u, a0);
                V.AddProduct(ref d1, u, a1);
                V.AddProduct(ref d2, u, a2);
                V.AddProduct(ref d3, u, b0);
                V.AddProduct(ref d4, u, b1);
                V.AddProduct(ref d5, u, b2);
                V.AddProduct(ref d6, u, c0);
                V.AddProduct(ref d7, u, c1);
                V.AddProduct(ref d8, u, c2);
                (a0, a1, b0, b1, c0, c1) = (a1, a2, b1, b2, c1, c2);
            }
        }
        V.Store(d0, dw);
        V.Store(d1, dw + 16);
        V.Store(d2, dw + 32);
        V.Store(d3, dw + 48);
        V.Store(d4, dw + 64);
        V.Store(d5, dw + 80);
        V.Store(d6, dw + 96);
        V.Store(d7, dw + 112);
        V.Store(d8, dw + 128);
        V.Store(h, dw + 144);
        V.Store(along, dw + 160);
        V.Store(ofSlope, dw + 176);
    }

    /// <summary>
    /// Both gradients at step 2: two by two pixels of x and dx take the two by two of dy at and after (i, j) =
    /// half of their own place, each its own taps: dx[2i + 1, 2j] = w[2, 1]·dy[i, j] + w[0, 1]·dy[i + 1, j] and so on.
    /// `here` and `below` are rows of dy, x and dx rows of `width`; without `bottom` the lower pixels are not there.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void SlideBack2<L, S>(float* here, float* below, float* x, float* w, float* dx, float* dw, int rows, int width, bool bottom, L load) where L : struct, IOnLoad<V> where S : IChoice
    {
        V d0 = V.Load(dw), d1 = V.Load(dw + 16), d2 = V.Load(dw + 32), d3 = V.Load(dw + 48), d4 = V.Load(dw + 64), d5 = V.Load(dw + 80), d6 = V.Load(dw + 96), d7 = V.Load(dw + 112), d8 = V.Load(dw + 128);
        V h = V.Load(dw + 144), along = V.Load(dw + 160), ofSlope = V.Load(dw + 176);
        long down = width * 16L;
        for (int row = 0; row < rows; row++, x += down, dx += down)
        {
            V b0 = V.Load(here), c0 = V.Load(below);
            for (int right = 1; right <= width; right += 2, x += 32, dx += 32)
            {
                here += 16;
                below += 16;
                V b1 = V.Zero, c1 = V.Zero;
                if (right + 1 < width)
                {
                    b1 = V.Load(here);
                    c1 = V.Load(below);
                }
                Lanes.Prefetch(here + AheadFloats / 2, 1);
                Lanes.Prefetch(x + AheadFloats, 2);
                Lanes.Prefetch(x + down + AheadFloats, 2);
                V u = V.Load(x), v = b0 * V.Load(w + 64);
                if (S.Is) V.Stream(v, dx);
                else V.Store(v, dx);
                V.AddProduct(ref d4, load.Apply(u, v, ref h, ref along, ref ofSlope), b0);
                if (bottom)
                {
                    u = V.Load(x + down);
                    v = V.Fma(c0, V.Load(w + 16), b0 * V.Load(w + 112));
                    if (S.Is) V.Stream(v, dx + down);
                    else V.Store(v, dx + down);
                    u = load.Apply(u, v, ref h, ref along, ref ofSlope);
                    V.AddProduct(ref d7, u, b0);
                    V.AddProduct(ref d1, u, c0);
                }
                if (right < width)
                {
                    u = V.Load(x + 16);
                    v = V.Fma(b1, V.Load(w + 48), b0 * V.Load(w + 80));
                    if (S.Is) V.Stream(v, dx + 16);
                    else V.Store(v, dx + 16);
                    u = load.Apply(u, v, ref h, ref along, ref ofSlope);
                    V.AddProduct(ref d5, u, b0);
                    V.AddProduct(ref d3, u, b1);
                    if (bottom)
                    {
                        u = V.Load(x + down + 16);
                        v = V.Fma(c1, V.Load(w), c0 * V.Load(w + 32)) + V.Fma(b1, V.Load(w + 96), b0 * V.Load(w + 128));
                        if (S.Is) V.Stream(v, dx + down + 16);
                        else V.Store(v, dx + down + 16);
                        u = load.Apply(u, v, ref h, ref along, ref ofSlope);
                        V.AddProduct(ref d8, u, b0);
                        V.AddProduct(ref d6, u, b1);
                        V.AddProduct(ref d2, u, c0);
                        V.AddProduct(ref d0, u, c1);
                    }
                }
                (b0, c0) = (b1, c1);
            }
            // An odd width ends one pixel short of two.
            x -= (width & 1) * 16;
            dx -= (width & 1) * 16;
        }
        V.Store(d0, dw);
        V.Store(d1, dw + 16);
        V.Store(d2, dw + 32);
        V.Store(d3, dw + 48);
        V.Store(d4, dw + 64);
        V.Store(d5, dw + 80);
        V.Store(d6, dw + 96);
        V.Store(d7, dw + 112);
        V.Store(d8, dw + 128);
        V.Store(h, dw + 144);
        V.Store(along, dw + 160);
        V.Store(ofSlope, dw + 176);
    }
}
