using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>A small number known to the compiler: kernels are written once and compiled for each size of tile.</summary>
interface ISize
{
    static abstract int Value { get; }
}

readonly struct Size1 : ISize { public static int Value => 1; }
readonly struct Size2 : ISize { public static int Value => 2; }
readonly struct Size3 : ISize { public static int Value => 3; }
readonly struct Size4 : ISize { public static int Value => 4; }
readonly struct Size5 : ISize { public static int Value => 5; }
readonly struct Size6 : ISize { public static int Value => 6; }
readonly struct Size7 : ISize { public static int Value => 7; }
readonly struct Size8 : ISize { public static int Value => 8; }
readonly struct Size9 : ISize { public static int Value => 9; }
readonly struct Size10 : ISize { public static int Value => 10; }
readonly struct Size11 : ISize { public static int Value => 11; }
readonly struct Size12 : ISize { public static int Value => 12; }
readonly struct Size13 : ISize { public static int Value => 13; }
readonly struct Size14 : ISize { public static int Value => 14; }

/// What a dense kernel sums over: blocks of sixteen channels (fewer in the last), and in each the taps at these offsets.
unsafe struct Reduction
{
    public int Blocks, LastChannels, Taps;
    public int* Offsets;
    public long BlockFloats;
    // Unless 0, how far on lies what is read next time, in the first block, and what to add to that for each further block.
    public long Ahead, AheadBlock;
    // Whether the sum is added to what is there.
    public bool Adds;
    // What sums begin with: unless null, a vector of each block; and unless there is none, memory at this distance from where they are stored.
    public float* Shift;
    public bool HasResidual;
    public long Residual;
    // Whether what sums begin with is in memory and asked for a tile ahead. (Asking for results alone gained 1.5 % of MobileFaceNet's step on a Zen 4, and costs .2 to .9 % on a Zen 5.)
    public bool AsksAhead;
    // Unless null, how often negative sums are added to themselves at the end, the slope of a PReLU less one: a vector of each block.
    public float* Bend;

    /// On to the outputs after these blocks; what is read next was asked for with the first.
    public void Advance(int blocks)
    {
        Ahead = 0;
        if (Shift != null) Shift += blocks * 16;
        if (Bend != null) Bend += blocks * 16;
    }
}

/// The pixels a weight gradient sums over: how many, and how far apart in x and in dy. Unless 0, Ahead is how far from a
/// pixel of dy lies what is read of x or of dy later, to be asked for with the first tile of channels, NextAhead with the second.
readonly record struct Pixels(int Images, int Rows, int Columns, long XImage, long XRow, long DyImage, long DyRow, long Ahead = 0, long NextAhead = 0);

public sealed unsafe partial class Cpu<V>
{
    // Output blocks that share each broadcast input: with 32 registers two, otherwise the pixels need them all.
    static int Pair => V.Accumulators >= 28 ? 2 : 1;
    // Pixels of a full tile.
    static int TilePixels => V.Accumulators / Pair;

    /// <summary>
    /// P neighbouring pixels × (16·O) outputs in registers: y[p] = Σ_{block, tap, c} x[block, tap, p, c] · w[block, tap, c].
    /// Tile after tile of a row in one call, as a call costs 36 cycles. Each step broadcasts P inputs against O vectors of weights; 14 × 2 keeps the multipliers busy on AVX-512.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void DenseTiles<P, O>(Reduction* sum, float* x, float* w, float* y0, float* y1, int step, int tiles) where P : ISize where O : ISize
    {
        for (; tiles > 0; tiles--, x += 16 * P.Value, y0 += P.Value * step, y1 += P.Value * step)
        {
            if (sum->AsksAhead)
            {
                // For what the next tile's sums begin with.
                long later = P.Value * step + sum->Residual;
                for (int i = 0; i < P.Value; i++)
                {
                    Lanes.Prefetch(y0 + later + i * step, 1);
                    if (O.Value > 1) Lanes.Prefetch(y1 + later + i * step, 1);
                }
            }
            V a0 = V.Zero, b0 = V.Zero, a1 = V.Zero, b1 = V.Zero, a2 = V.Zero, b2 = V.Zero, a3 = V.Zero, b3 = V.Zero, a4 = V.Zero, b4 = V.Zero, a5 = V.Zero, b5 = V.Zero, a6 = V.Zero, b6 = V.Zero;
            V a7 = V.Zero, b7 = V.Zero, a8 = V.Zero, b8 = V.Zero, a9 = V.Zero, b9 = V.Zero, a10 = V.Zero, b10 = V.Zero, a11 = V.Zero, b11 = V.Zero, a12 = V.Zero, b12 = V.Zero, a13 = V.Zero, b13 = V.Zero;
            if (sum->Shift != null)
            {
                V s = V.Load(sum->Shift), t = O.Value > 1 ? V.Load(sum->Shift + 16) : V.Zero;
                (a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) = (s, s, s, s, s, s, s, s, s, s, s, s, s, s);
                (b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13) = (t, t, t, t, t, t, t, t, t, t, t, t, t, t);
            }
            if (sum->HasResidual)
            {
                float* r0 = y0 + sum->Residual, r1 = y1 + sum->Residual;
                { a0 += V.Load(r0 + 0 * step); if (O.Value > 1) b0 += V.Load(r1 + 0 * step); }
                if (P.Value > 1) { a1 += V.Load(r0 + 1 * step); if (O.Value > 1) b1 += V.Load(r1 + 1 * step); }
                if (P.Value > 2) { a2 += V.Load(r0 + 2 * step); if (O.Value > 1) b2 += V.Load(r1 + 2 * step); }
                if (P.Value > 3) { a3 += V.Load(r0 + 3 * step); if (O.Value > 1) b3 += V.Load(r1 + 3 * step); }
                if (P.Value > 4) { a4 += V.Load(r0 + 4 * step); if (O.Value > 1) b4 += V.Load(r1 + 4 * step); }
                if (P.Value > 5) { a5 += V.Load(r0 + 5 * step); if (O.Value > 1) b5 += V.Load(r1 + 5 * step); }
                if (P.Value > 6) { a6 += V.Load(r0 + 6 * step); if (O.Value > 1) b6 += V.Load(r1 + 6 * step); }
                if (P.Value > 7) { a7 += V.Load(r0 + 7 * step); if (O.Value > 1) b7 += V.Load(r1 + 7 * step); }
                if (P.Value > 8) { a8 += V.Load(r0 + 8 * step); if (O.Value > 1) b8 += V.Load(r1 + 8 * step); }
                if (P.Value > 9) { a9 += V.Load(r0 + 9 * step); if (O.Value > 1) b9 += V.Load(r1 + 9 * step); }
                if (P.Value > 10) { a10 += V.Load(r0 + 10 * step); if (O.Value > 1) b10 += V.Load(r1 + 10 * step); }
                if (P.Value > 11) { a11 += V.Load(r0 + 11 * step); if (O.Value > 1) b11 += V.Load(r1 + 11 * step); }
                if (P.Value > 12) { a12 += V.Load(r0 + 12 * step); if (O.Value > 1) b12 += V.Load(r1 + 12 * step); }
                if (P.Value > 13) { a13 += V.Load(r0 + 13 * step); if (O.Value > 1) b13 += V.Load(r1 + 13 * step); }
            }
            float* from = x, weights = w;
            for (int block = 0; block < sum->Blocks; block++, from += sum->BlockFloats)
            {
                if (sum->Ahead != 0) Lanes.Prefetch(from + sum->Ahead + block * sum->AheadBlock, P.Value);
                int channels = block == sum->Blocks - 1 ? sum->LastChannels : 16;
                for (int tap = 0; tap < sum->Taps; tap++)
                {
                    float* p = from + sum->Offsets[tap];
                    for (float* end = p + channels; p < end; p++, weights += 16 * O.Value)
                    {
                        V u = V.Load(weights), v = O.Value > 1 ? V.Load(weights + 16) : V.Zero, t;
                        { t = V.Create(p[0]); V.AddProduct(ref a0, t, u); if (O.Value > 1) V.AddProduct(ref b0, t, v); }
                        if (P.Value > 1) { t = V.Create(p[16]); V.AddProduct(ref a1, t, u); if (O.Value > 1) V.AddProduct(ref b1, t, v); }
                        if (P.Value > 2) { t = V.Create(p[32]); V.AddProduct(ref a2, t, u); if (O.Value > 1) V.AddProduct(ref b2, t, v); }
                        if (P.Value > 3) { t = V.Create(p[48]); V.AddProduct(ref a3, t, u); if (O.Value > 1) V.AddProduct(ref b3, t, v); }
                        if (P.Value > 4) { t = V.Create(p[64]); V.AddProduct(ref a4, t, u); if (O.Value > 1) V.AddProduct(ref b4, t, v); }
                        if (P.Value > 5) { t = V.Create(p[80]); V.AddProduct(ref a5, t, u); if (O.Value > 1) V.AddProduct(ref b5, t, v); }
                        if (P.Value > 6) { t = V.Create(p[96]); V.AddProduct(ref a6, t, u); if (O.Value > 1) V.AddProduct(ref b6, t, v); }
                        if (P.Value > 7) { t = V.Create(p[112]); V.AddProduct(ref a7, t, u); if (O.Value > 1) V.AddProduct(ref b7, t, v); }
                        if (P.Value > 8) { t = V.Create(p[128]); V.AddProduct(ref a8, t, u); if (O.Value > 1) V.AddProduct(ref b8, t, v); }
                        if (P.Value > 9) { t = V.Create(p[144]); V.AddProduct(ref a9, t, u); if (O.Value > 1) V.AddProduct(ref b9, t, v); }
                        if (P.Value > 10) { t = V.Create(p[160]); V.AddProduct(ref a10, t, u); if (O.Value > 1) V.AddProduct(ref b10, t, v); }
                        if (P.Value > 11) { t = V.Create(p[176]); V.AddProduct(ref a11, t, u); if (O.Value > 1) V.AddProduct(ref b11, t, v); }
                        if (P.Value > 12) { t = V.Create(p[192]); V.AddProduct(ref a12, t, u); if (O.Value > 1) V.AddProduct(ref b12, t, v); }
                        if (P.Value > 13) { t = V.Create(p[208]); V.AddProduct(ref a13, t, u); if (O.Value > 1) V.AddProduct(ref b13, t, v); }
                    }
                }
            }
            if (sum->Bend != null)
            {
                V s = V.Load(sum->Bend), t = O.Value > 1 ? V.Load(sum->Bend + 16) : V.Zero;
                { a0 = V.Fma(s, V.Min(a0, V.Zero), a0); if (O.Value > 1) b0 = V.Fma(t, V.Min(b0, V.Zero), b0); }
                if (P.Value > 1) { a1 = V.Fma(s, V.Min(a1, V.Zero), a1); if (O.Value > 1) b1 = V.Fma(t, V.Min(b1, V.Zero), b1); }
                if (P.Value > 2) { a2 = V.Fma(s, V.Min(a2, V.Zero), a2); if (O.Value > 1) b2 = V.Fma(t, V.Min(b2, V.Zero), b2); }
                if (P.Value > 3) { a3 = V.Fma(s, V.Min(a3, V.Zero), a3); if (O.Value > 1) b3 = V.Fma(t, V.Min(b3, V.Zero), b3); }
                if (P.Value > 4) { a4 = V.Fma(s, V.Min(a4, V.Zero), a4); if (O.Value > 1) b4 = V.Fma(t, V.Min(b4, V.Zero), b4); }
                if (P.Value > 5) { a5 = V.Fma(s, V.Min(a5, V.Zero), a5); if (O.Value > 1) b5 = V.Fma(t, V.Min(b5, V.Zero), b5); }
                if (P.Value > 6) { a6 = V.Fma(s, V.Min(a6, V.Zero), a6); if (O.Value > 1) b6 = V.Fma(t, V.Min(b6, V.Zero), b6); }
                if (P.Value > 7) { a7 = V.Fma(s, V.Min(a7, V.Zero), a7); if (O.Value > 1) b7 = V.Fma(t, V.Min(b7, V.Zero), b7); }
                if (P.Value > 8) { a8 = V.Fma(s, V.Min(a8, V.Zero), a8); if (O.Value > 1) b8 = V.Fma(t, V.Min(b8, V.Zero), b8); }
                if (P.Value > 9) { a9 = V.Fma(s, V.Min(a9, V.Zero), a9); if (O.Value > 1) b9 = V.Fma(t, V.Min(b9, V.Zero), b9); }
                if (P.Value > 10) { a10 = V.Fma(s, V.Min(a10, V.Zero), a10); if (O.Value > 1) b10 = V.Fma(t, V.Min(b10, V.Zero), b10); }
                if (P.Value > 11) { a11 = V.Fma(s, V.Min(a11, V.Zero), a11); if (O.Value > 1) b11 = V.Fma(t, V.Min(b11, V.Zero), b11); }
                if (P.Value > 12) { a12 = V.Fma(s, V.Min(a12, V.Zero), a12); if (O.Value > 1) b12 = V.Fma(t, V.Min(b12, V.Zero), b12); }
                if (P.Value > 13) { a13 = V.Fma(s, V.Min(a13, V.Zero), a13); if (O.Value > 1) b13 = V.Fma(t, V.Min(b13, V.Zero), b13); }
            }
            bool adds = sum->Adds;
            Put<O>(a0, b0, y0, y1, adds);
            if (P.Value > 1) Put<O>(a1, b1, y0 + 1 * step, y1 + 1 * step, adds);
            if (P.Value > 2) Put<O>(a2, b2, y0 + 2 * step, y1 + 2 * step, adds);
            if (P.Value > 3) Put<O>(a3, b3, y0 + 3 * step, y1 + 3 * step, adds);
            if (P.Value > 4) Put<O>(a4, b4, y0 + 4 * step, y1 + 4 * step, adds);
            if (P.Value > 5) Put<O>(a5, b5, y0 + 5 * step, y1 + 5 * step, adds);
            if (P.Value > 6) Put<O>(a6, b6, y0 + 6 * step, y1 + 6 * step, adds);
            if (P.Value > 7) Put<O>(a7, b7, y0 + 7 * step, y1 + 7 * step, adds);
            if (P.Value > 8) Put<O>(a8, b8, y0 + 8 * step, y1 + 8 * step, adds);
            if (P.Value > 9) Put<O>(a9, b9, y0 + 9 * step, y1 + 9 * step, adds);
            if (P.Value > 10) Put<O>(a10, b10, y0 + 10 * step, y1 + 10 * step, adds);
            if (P.Value > 11) Put<O>(a11, b11, y0 + 11 * step, y1 + 11 * step, adds);
            if (P.Value > 12) Put<O>(a12, b12, y0 + 12 * step, y1 + 12 * step, adds);
            if (P.Value > 13) Put<O>(a13, b13, y0 + 13 * step, y1 + 13 * step, adds);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<O>(V left, V right, float* y0, float* y1, bool add) where O : ISize
    {
        V.Store(add ? left + V.Load(y0) : left, y0);
        if (O.Value > 1) V.Store(add ? right + V.Load(y1) : right, y1);
    }

    /// A row of outputs in tiles of near-equal width.
    static void DenseRow<O>(Reduction* sum, float* x, float* w, float* y0, float* y1, int step, int columns) where O : ISize
    {
        int tiles = Math.Max(1, (columns + TilePixels - 1) / TilePixels), width = columns / tiles, wider = columns % tiles, narrow = (tiles - wider) * width;
        DenseTiles<O>(width, sum, x, w, y0, y1, step, tiles - wider);
        if (wider > 0) DenseTiles<O>(width + 1, sum, x + narrow * 16, w, y0 + (long)narrow * step, y1 + (long)narrow * step, step, wider);
    }

    static void DenseTiles<O>(int width, Reduction* sum, float* x, float* w, float* y0, float* y1, int step, int tiles) where O : ISize
    {
        switch (width)
        {
            case 1: DenseTiles<Size1, O>(sum, x, w, y0, y1, step, tiles); break;
            case 2: DenseTiles<Size2, O>(sum, x, w, y0, y1, step, tiles); break;
            case 3: DenseTiles<Size3, O>(sum, x, w, y0, y1, step, tiles); break;
            case 4: DenseTiles<Size4, O>(sum, x, w, y0, y1, step, tiles); break;
            case 5: DenseTiles<Size5, O>(sum, x, w, y0, y1, step, tiles); break;
            case 6: DenseTiles<Size6, O>(sum, x, w, y0, y1, step, tiles); break;
            case 7: DenseTiles<Size7, O>(sum, x, w, y0, y1, step, tiles); break;
            case 8: DenseTiles<Size8, O>(sum, x, w, y0, y1, step, tiles); break;
            case 9: DenseTiles<Size9, O>(sum, x, w, y0, y1, step, tiles); break;
            case 10: DenseTiles<Size10, O>(sum, x, w, y0, y1, step, tiles); break;
            case 11: DenseTiles<Size11, O>(sum, x, w, y0, y1, step, tiles); break;
            case 12: DenseTiles<Size12, O>(sum, x, w, y0, y1, step, tiles); break;
            case 13: DenseTiles<Size13, O>(sum, x, w, y0, y1, step, tiles); break;
            case 14: DenseTiles<Size14, O>(sum, x, w, y0, y1, step, tiles); break;
        }
    }

    /// <summary>
    /// C input channels × (16·O) outputs in registers, summed over pixels: dw[c] += Σ_{image, row, column} x[c] · dy; several tiles of channels.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void OuterTiles<C, O>(in Pixels pixels, float* x, float* dy0, float* dy1, float* dw, int tiles) where C : ISize where O : ISize
    {
        long ahead = pixels.Ahead;
        for (int tile = 0; tile < tiles; tile++, x += C.Value, dw += 16 * C.Value * O.Value)
        {
            if (tile > 0) ahead = tile == 1 ? pixels.NextAhead : 0;
            V a0 = V.Zero, b0 = V.Zero, a1 = V.Zero, b1 = V.Zero, a2 = V.Zero, b2 = V.Zero, a3 = V.Zero, b3 = V.Zero;
            V a4 = V.Zero, b4 = V.Zero, a5 = V.Zero, b5 = V.Zero, a6 = V.Zero, b6 = V.Zero, a7 = V.Zero, b7 = V.Zero;
            Lanes.Prefetch(dw, C.Value * O.Value);
            for (int image = 0; image < pixels.Images; image++)
                for (int row = 0; row < pixels.Rows; row++)
                {
                    long to = image * pixels.DyImage + row * pixels.DyRow;
                    float* p = x + image * pixels.XImage + row * pixels.XRow, q1 = dy1 + to;
                    for (float* q0 = dy0 + to, end = q0 + pixels.Columns * 16; q0 < end; q0 += 16, q1 += 16, p += 16)
                    {
                        if (ahead != 0) Lanes.Prefetch(q0 + ahead, 1);
                        V u = V.Load(q0), v = O.Value > 1 ? V.Load(q1) : V.Zero, t;
                        { t = V.Create(p[0]); V.AddProduct(ref a0, t, u); if (O.Value > 1) V.AddProduct(ref b0, t, v); }
                        if (C.Value > 1) { t = V.Create(p[1]); V.AddProduct(ref a1, t, u); if (O.Value > 1) V.AddProduct(ref b1, t, v); }
                        if (C.Value > 2) { t = V.Create(p[2]); V.AddProduct(ref a2, t, u); if (O.Value > 1) V.AddProduct(ref b2, t, v); }
                        if (C.Value > 3) { t = V.Create(p[3]); V.AddProduct(ref a3, t, u); if (O.Value > 1) V.AddProduct(ref b3, t, v); }
                        if (C.Value > 4) { t = V.Create(p[4]); V.AddProduct(ref a4, t, u); if (O.Value > 1) V.AddProduct(ref b4, t, v); }
                        if (C.Value > 5) { t = V.Create(p[5]); V.AddProduct(ref a5, t, u); if (O.Value > 1) V.AddProduct(ref b5, t, v); }
                        if (C.Value > 6) { t = V.Create(p[6]); V.AddProduct(ref a6, t, u); if (O.Value > 1) V.AddProduct(ref b6, t, v); }
                        if (C.Value > 7) { t = V.Create(p[7]); V.AddProduct(ref a7, t, u); if (O.Value > 1) V.AddProduct(ref b7, t, v); }
                    }
                }
            Put<O>(a0, b0, dw, dw + 16, add: true);
            if (C.Value > 1) Put<O>(a1, b1, dw + 1 * 16 * O.Value, dw + 1 * 16 * O.Value + 16, add: true);
            if (C.Value > 2) Put<O>(a2, b2, dw + 2 * 16 * O.Value, dw + 2 * 16 * O.Value + 16, add: true);
            if (C.Value > 3) Put<O>(a3, b3, dw + 3 * 16 * O.Value, dw + 3 * 16 * O.Value + 16, add: true);
            if (C.Value > 4) Put<O>(a4, b4, dw + 4 * 16 * O.Value, dw + 4 * 16 * O.Value + 16, add: true);
            if (C.Value > 5) Put<O>(a5, b5, dw + 5 * 16 * O.Value, dw + 5 * 16 * O.Value + 16, add: true);
            if (C.Value > 6) Put<O>(a6, b6, dw + 6 * 16 * O.Value, dw + 6 * 16 * O.Value + 16, add: true);
            if (C.Value > 7) Put<O>(a7, b7, dw + 7 * 16 * O.Value, dw + 7 * 16 * O.Value + 16, add: true);
        }
    }

    /// Up to sixteen channels in tiles of near-equal width.
    static void OuterBlock<O>(Pixels pixels, float* x, float* dy0, float* dy1, int channels, float* dw) where O : ISize
    {
        int most = Math.Min(8, TilePixels), tiles = (channels + most - 1) / most, width = channels / tiles, wider = channels % tiles, narrow = (tiles - wider) * width;
        OuterTiles<O>(width, pixels, x, dy0, dy1, dw, tiles - wider);
        if (wider > 0) OuterTiles<O>(width + 1, pixels with { Ahead = narrow == width ? pixels.NextAhead : 0, NextAhead = 0 }, x + narrow, dy0, dy1, dw + narrow * 16 * O.Value, wider);
    }

    static void OuterTiles<O>(int width, in Pixels pixels, float* x, float* dy0, float* dy1, float* dw, int tiles) where O : ISize
    {
        switch (width)
        {
            case 1: OuterTiles<Size1, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 2: OuterTiles<Size2, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 3: OuterTiles<Size3, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 4: OuterTiles<Size4, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 5: OuterTiles<Size5, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 6: OuterTiles<Size6, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 7: OuterTiles<Size7, O>(pixels, x, dy0, dy1, dw, tiles); break;
            case 8: OuterTiles<Size8, O>(pixels, x, dy0, dy1, dw, tiles); break;
        }
    }
}
