using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// <summary>P neighbouring pixels of sixteen channels in registers: y[p] = Σ_tap x[tap, p] · w[tap], lane by lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void DepthwiseTile<P>(float* x, int* offsets, float* w, int taps, float* y, int step) where P : ISize
    {
        V a0 = V.Zero, a1 = V.Zero, a2 = V.Zero, a3 = V.Zero, a4 = V.Zero, a5 = V.Zero, a6 = V.Zero;
        V a7 = V.Zero, a8 = V.Zero, a9 = V.Zero, a10 = V.Zero, a11 = V.Zero, a12 = V.Zero, a13 = V.Zero;
        for (int tap = 0; tap < taps; tap++, w += 16)
        {
            float* p = x + offsets[tap];
            var u = V.Load(w);
            V.AddProduct(ref a0, V.Load(p), u);
            if (P.Value > 1) V.AddProduct(ref a1, V.Load(p + 16), u);
            if (P.Value > 2) V.AddProduct(ref a2, V.Load(p + 32), u);
            if (P.Value > 3) V.AddProduct(ref a3, V.Load(p + 48), u);
            if (P.Value > 4) V.AddProduct(ref a4, V.Load(p + 64), u);
            if (P.Value > 5) V.AddProduct(ref a5, V.Load(p + 80), u);
            if (P.Value > 6) V.AddProduct(ref a6, V.Load(p + 96), u);
            if (P.Value > 7) V.AddProduct(ref a7, V.Load(p + 112), u);
            if (P.Value > 8) V.AddProduct(ref a8, V.Load(p + 128), u);
            if (P.Value > 9) V.AddProduct(ref a9, V.Load(p + 144), u);
            if (P.Value > 10) V.AddProduct(ref a10, V.Load(p + 160), u);
            if (P.Value > 11) V.AddProduct(ref a11, V.Load(p + 176), u);
            if (P.Value > 12) V.AddProduct(ref a12, V.Load(p + 192), u);
            if (P.Value > 13) V.AddProduct(ref a13, V.Load(p + 208), u);
        }
        V.Store(a0, y);
        if (P.Value > 1) V.Store(a1, y + 1 * step);
        if (P.Value > 2) V.Store(a2, y + 2 * step);
        if (P.Value > 3) V.Store(a3, y + 3 * step);
        if (P.Value > 4) V.Store(a4, y + 4 * step);
        if (P.Value > 5) V.Store(a5, y + 5 * step);
        if (P.Value > 6) V.Store(a6, y + 6 * step);
        if (P.Value > 7) V.Store(a7, y + 7 * step);
        if (P.Value > 8) V.Store(a8, y + 8 * step);
        if (P.Value > 9) V.Store(a9, y + 9 * step);
        if (P.Value > 10) V.Store(a10, y + 10 * step);
        if (P.Value > 11) V.Store(a11, y + 11 * step);
        if (P.Value > 12) V.Store(a12, y + 12 * step);
        if (P.Value > 13) V.Store(a13, y + 13 * step);
    }

    static void DepthwiseRow(float* x, int* offsets, float* w, int taps, float* y, int step, int columns)
    {
        int most = Math.Min(14, V.Accumulators), tiles = (columns + most - 1) / most;
        for (int tile = 0, done = 0; tile < tiles; tile++)
        {
            int pixels = (columns - done) / (tiles - tile);
            float* from = x + done * 16, to = y + (long)done * step;
            switch (pixels)
            {
                case 1: DepthwiseTile<Size1>(from, offsets, w, taps, to, step); break;
                case 2: DepthwiseTile<Size2>(from, offsets, w, taps, to, step); break;
                case 3: DepthwiseTile<Size3>(from, offsets, w, taps, to, step); break;
                case 4: DepthwiseTile<Size4>(from, offsets, w, taps, to, step); break;
                case 5: DepthwiseTile<Size5>(from, offsets, w, taps, to, step); break;
                case 6: DepthwiseTile<Size6>(from, offsets, w, taps, to, step); break;
                case 7: DepthwiseTile<Size7>(from, offsets, w, taps, to, step); break;
                case 8: DepthwiseTile<Size8>(from, offsets, w, taps, to, step); break;
                case 9: DepthwiseTile<Size9>(from, offsets, w, taps, to, step); break;
                case 10: DepthwiseTile<Size10>(from, offsets, w, taps, to, step); break;
                case 11: DepthwiseTile<Size11>(from, offsets, w, taps, to, step); break;
                case 12: DepthwiseTile<Size12>(from, offsets, w, taps, to, step); break;
                case 13: DepthwiseTile<Size13>(from, offsets, w, taps, to, step); break;
                case 14: DepthwiseTile<Size14>(from, offsets, w, taps, to, step); break;
            }
            done += pixels;
        }
    }

    /// <summary>T taps in registers, summed over pixels: dw[tap] += Σ_{row, column} x[tap, row, column] · dy[row, column], lane by lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void DepthwiseOuter<T>(float* x, long xRow, int* offsets, float* dy, int rows, int columns, float* dw) where T : ISize
    {
        int o0 = offsets[0];
        V a0 = V.Load(dw);
        int o1 = T.Value > 1 ? offsets[1] : 0;
        V a1 = T.Value > 1 ? V.Load(dw + 16) : V.Zero;
        int o2 = T.Value > 2 ? offsets[2] : 0;
        V a2 = T.Value > 2 ? V.Load(dw + 32) : V.Zero;
        int o3 = T.Value > 3 ? offsets[3] : 0;
        V a3 = T.Value > 3 ? V.Load(dw + 48) : V.Zero;
        int o4 = T.Value > 4 ? offsets[4] : 0;
        V a4 = T.Value > 4 ? V.Load(dw + 64) : V.Zero;
        int o5 = T.Value > 5 ? offsets[5] : 0;
        V a5 = T.Value > 5 ? V.Load(dw + 80) : V.Zero;
        int o6 = T.Value > 6 ? offsets[6] : 0;
        V a6 = T.Value > 6 ? V.Load(dw + 96) : V.Zero;
        int o7 = T.Value > 7 ? offsets[7] : 0;
        V a7 = T.Value > 7 ? V.Load(dw + 112) : V.Zero;
        int o8 = T.Value > 8 ? offsets[8] : 0;
        V a8 = T.Value > 8 ? V.Load(dw + 128) : V.Zero;
        for (int row = 0; row < rows; row++, x += xRow)
        {
            float* p = x;
            for (float* end = dy + columns * 16; dy < end; dy += 16, p += 16)
            {
                var u = V.Load(dy);
                V.AddProduct(ref a0, V.Load(p + o0), u);
                if (T.Value > 1) V.AddProduct(ref a1, V.Load(p + o1), u);
                if (T.Value > 2) V.AddProduct(ref a2, V.Load(p + o2), u);
                if (T.Value > 3) V.AddProduct(ref a3, V.Load(p + o3), u);
                if (T.Value > 4) V.AddProduct(ref a4, V.Load(p + o4), u);
                if (T.Value > 5) V.AddProduct(ref a5, V.Load(p + o5), u);
                if (T.Value > 6) V.AddProduct(ref a6, V.Load(p + o6), u);
                if (T.Value > 7) V.AddProduct(ref a7, V.Load(p + o7), u);
                if (T.Value > 8) V.AddProduct(ref a8, V.Load(p + o8), u);
            }
        }
        V.Store(a0, dw);
        if (T.Value > 1) V.Store(a1, dw + 16);
        if (T.Value > 2) V.Store(a2, dw + 32);
        if (T.Value > 3) V.Store(a3, dw + 48);
        if (T.Value > 4) V.Store(a4, dw + 64);
        if (T.Value > 5) V.Store(a5, dw + 80);
        if (T.Value > 6) V.Store(a6, dw + 96);
        if (T.Value > 7) V.Store(a7, dw + 112);
        if (T.Value > 8) V.Store(a8, dw + 128);
    }

    static void DepthwiseTaps(float* x, long xRow, int* offsets, float* dy, int rows, int columns, int taps, float* dw)
    {
        int tiles = (taps + TileTaps - 1) / TileTaps;
        for (int tile = 0, done = 0; tile < tiles; tile++)
        {
            int count = (taps - done) / (tiles - tile);
            float* to = dw + done * 16;
            switch (count)
            {
                case 1: DepthwiseOuter<Size1>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 2: DepthwiseOuter<Size2>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 3: DepthwiseOuter<Size3>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 4: DepthwiseOuter<Size4>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 5: DepthwiseOuter<Size5>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 6: DepthwiseOuter<Size6>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 7: DepthwiseOuter<Size7>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 8: DepthwiseOuter<Size8>(x, xRow, offsets + done, dy, rows, columns, to); break;
                case 9: DepthwiseOuter<Size9>(x, xRow, offsets + done, dy, rows, columns, to); break;
            }
            done += count;
        }
    }
}
