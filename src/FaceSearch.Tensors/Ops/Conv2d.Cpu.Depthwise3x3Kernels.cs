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
/// 3×3, stride 1, one channel block: a window of nine pixels slides along a row in registers, so that an output costs three
/// loads, not nine, and what lies left and right of the row is zero without being stored anywhere.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    /// <summary>
    /// y[row, column] = Σ_{a, b} x[row + a − 1, column + b − 1] · w[a, b] for rows that lie one after the other. `above`, `here` and
    /// `below` are the rows that the first output row reads. Where M, the sums of y − k and (y − k)² are added to
    /// moments [k, Σ, Σ²]. What lies `ahead` of a pixel is asked for when the pixel is read.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void SlideRows<M, S>(float* above, float* here, float* below, float* w, float* y, int rows, int columns, long ahead, float* moments) where M : IChoice where S : IChoice
    {
        V w0 = V.Load(w), w1 = V.Load(w + 16), w2 = V.Load(w + 32), w3 = V.Load(w + 48), w4 = V.Load(w + 64), w5 = V.Load(w + 80), w6 = V.Load(w + 96), w7 = V.Load(w + 112), w8 = V.Load(w + 128);
        V k = M.Is ? V.Load(moments) : V.Zero, sum = M.Is ? V.Load(moments + 16) : V.Zero, squares = M.Is ? V.Load(moments + 32) : V.Zero;
        for (int row = 0; row < rows; row++)
        {
            V a0 = V.Zero, a1 = V.Load(above), b0 = V.Zero, b1 = V.Load(here), c0 = V.Zero, c1 = V.Load(below);
            for (int column = 1; column <= columns; column++, y += 16)
            {
                above += 16;
                here += 16;
                below += 16;
                V a2 = V.Zero, b2 = V.Zero, c2 = V.Zero;
                if (column < columns)
                {
                    a2 = V.Load(above);
                    b2 = V.Load(here);
                    c2 = V.Load(below);
                }
                Lanes.Prefetch(here + ahead, 1);
                // Three short chains of sums: one of nine would wait for itself.
                V v = V.Fma(a2, w2, V.Fma(a1, w1, a0 * w0)) + V.Fma(b2, w5, V.Fma(b1, w4, b0 * w3)) + V.Fma(c2, w8, V.Fma(c1, w7, c0 * w6));
                if (M.Is)
                {
                    V offset = v - k;
                    sum += offset;
                    squares = V.Fma(offset, offset, squares);
                }
                if (S.Is) V.Stream(v, y);
                else V.Store(v, y);
                (a0, a1, b0, b1, c0, c1) = (a1, a2, b1, b2, c1, c2);
            }
        }
        if (!M.Is) return;
        V.Store(sum, moments + 16);
        V.Store(squares, moments + 32);
    }

    /// <summary>
    /// Both gradients in one pass. The window of dy around a pixel is all that its dx takes, and all that its x is
    /// multiplied with: dx[row, column] = Σ_{a, b} dy[row + a − 1, column + b − 1] · w[a, b], dw[a, b] += Σ x[row, column] · dy[row + a − 1, column + b − 1];
    /// so w and dw are the kernel's own turned by half a turn. `above`, `here` and `below` are rows of dy.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void SlideBack<L, S>(float* above, float* here, float* below, float* x, float* w, float* dx, float* dw, int rows, int columns, long ahead, long xAhead, L load) where L : struct, IOnLoad<V> where S : IChoice
    {
        V d0 = V.Load(dw), d1 = V.Load(dw + 16), d2 = V.Load(dw + 32), d3 = V.Load(dw + 48), d4 = V.Load(dw + 64), d5 = V.Load(dw + 80), d6 = V.Load(dw + 96), d7 = V.Load(dw + 112), d8 = V.Load(dw + 128);
        for (int row = 0; row < rows; row++)
        {
            V a0 = V.Zero, a1 = V.Load(above), b0 = V.Zero, b1 = V.Load(here), c0 = V.Zero, c1 = V.Load(below);
            for (int column = 1; column <= columns; column++, x += 16, dx += 16)
            {
                above += 16;
                here += 16;
                below += 16;
                V a2 = V.Zero, b2 = V.Zero, c2 = V.Zero;
                if (column < columns)
                {
                    a2 = V.Load(above);
                    b2 = V.Load(here);
                    c2 = V.Load(below);
                }
                Lanes.Prefetch(here + ahead, 1);
                Lanes.Prefetch(x + xAhead, 1);
                // The weights stay in the first-level cache: the window and the sums fill the registers.
                V v = V.Fma(a2, V.Load(w + 32), V.Fma(a1, V.Load(w + 16), a0 * V.Load(w))) + V.Fma(b2, V.Load(w + 80), V.Fma(b1, V.Load(w + 64), b0 * V.Load(w + 48)))
                    + V.Fma(c2, V.Load(w + 128), V.Fma(c1, V.Load(w + 112), c0 * V.Load(w + 96)));
                if (S.Is) V.Stream(v, dx);
                else V.Store(v, dx);
                V u = load.Apply(V.Load(x));
                d0 = V.Fma(u, a0, d0);
                d1 = V.Fma(u, a1, d1);
                d2 = V.Fma(u, a2, d2);
                d3 = V.Fma(u, b0, d3);
                d4 = V.Fma(u, b1, d4);
                d5 = V.Fma(u, b2, d5);
                d6 = V.Fma(u, c0, d6);
                d7 = V.Fma(u, c1, d7);
                d8 = V.Fma(u, c2, d8);
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
    }
}
