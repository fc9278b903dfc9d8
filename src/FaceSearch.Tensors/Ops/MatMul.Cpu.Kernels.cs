using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>How a packed panel of rows lies in memory: row by row as in a plain matrix, or term by term as in a transposed one.</summary>
interface IPanelOrder
{
    static abstract int RowStride { get; }
    static abstract int TermStride { get; }
}

readonly struct RowByRow : IPanelOrder
{
    public static int RowStride => MatMulTiling.MostDepth;
    public static int TermStride => 1;
}

readonly struct TermByTerm : IPanelOrder
{
    public static int RowStride => 1;
    public static int TermStride => MatMulTiling.PanelRows;
}

/// <summary>
/// The micro-kernel of the matrix product, written once and compiled for each height R, width C (in vectors) and order L of
/// the rows: R × C accumulators, one term a turn, rows broadcast, columns [depth][16·C] loaded. Accumulators are locals
/// because the compiler keeps no array in registers; the strides of rows are constants because those need no registers.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void MultiplyTile<R, C, L>(float* rows, float* columns, int depth, float* to, long stride, bool add, in MatMulAhead ahead) where R : ISize where C : ISize where L : IPanelOrder
    {
        V a0 = V.Zero, b0 = V.Zero, a1 = V.Zero, b1 = V.Zero, a2 = V.Zero, b2 = V.Zero, a3 = V.Zero, b3 = V.Zero;
        V a4 = V.Zero, b4 = V.Zero, a5 = V.Zero, b5 = V.Zero, a6 = V.Zero, b6 = V.Zero, a7 = V.Zero, b7 = V.Zero;
        V a8 = V.Zero, b8 = V.Zero, a9 = V.Zero, b9 = V.Zero, a10 = V.Zero, b10 = V.Zero, a11 = V.Zero, b11 = V.Zero;
        float* soon = ahead.At;
        for (; depth > 0; depth -= 16, soon += ahead.Step)
        {
            for (int i = 0; i < ahead.Count; i++) Lanes.PrefetchNear(soon + i * ahead.Stride);
            for (int turns = Math.Min(16, depth); turns > 0; turns--, rows += L.TermStride, columns += 16 * C.Value)
            {
                V u = V.Load(columns), v = C.Value > 1 ? V.Load(columns + 16) : V.Zero, t;
                { t = V.Create(rows[0 * L.RowStride]); V.AddProduct(ref a0, t, u); if (C.Value > 1) V.AddProduct(ref b0, t, v); }
                if (R.Value > 1) { t = V.Create(rows[1 * L.RowStride]); V.AddProduct(ref a1, t, u); if (C.Value > 1) V.AddProduct(ref b1, t, v); }
                if (R.Value > 2) { t = V.Create(rows[2 * L.RowStride]); V.AddProduct(ref a2, t, u); if (C.Value > 1) V.AddProduct(ref b2, t, v); }
                if (R.Value > 3) { t = V.Create(rows[3 * L.RowStride]); V.AddProduct(ref a3, t, u); if (C.Value > 1) V.AddProduct(ref b3, t, v); }
                if (R.Value > 4) { t = V.Create(rows[4 * L.RowStride]); V.AddProduct(ref a4, t, u); if (C.Value > 1) V.AddProduct(ref b4, t, v); }
                if (R.Value > 5) { t = V.Create(rows[5 * L.RowStride]); V.AddProduct(ref a5, t, u); if (C.Value > 1) V.AddProduct(ref b5, t, v); }
                if (R.Value > 6) { t = V.Create(rows[6 * L.RowStride]); V.AddProduct(ref a6, t, u); if (C.Value > 1) V.AddProduct(ref b6, t, v); }
                if (R.Value > 7) { t = V.Create(rows[7 * L.RowStride]); V.AddProduct(ref a7, t, u); if (C.Value > 1) V.AddProduct(ref b7, t, v); }
                if (R.Value > 8) { t = V.Create(rows[8 * L.RowStride]); V.AddProduct(ref a8, t, u); if (C.Value > 1) V.AddProduct(ref b8, t, v); }
                if (R.Value > 9) { t = V.Create(rows[9 * L.RowStride]); V.AddProduct(ref a9, t, u); if (C.Value > 1) V.AddProduct(ref b9, t, v); }
                if (R.Value > 10) { t = V.Create(rows[10 * L.RowStride]); V.AddProduct(ref a10, t, u); if (C.Value > 1) V.AddProduct(ref b10, t, v); }
                if (R.Value > 11) { t = V.Create(rows[11 * L.RowStride]); V.AddProduct(ref a11, t, u); if (C.Value > 1) V.AddProduct(ref b11, t, v); }
            }
        }
        Put<C>(a0, b0, to, add);
        if (R.Value > 1) Put<C>(a1, b1, to + stride, add);
        if (R.Value > 2) Put<C>(a2, b2, to + 2 * stride, add);
        if (R.Value > 3) Put<C>(a3, b3, to + 3 * stride, add);
        if (R.Value > 4) Put<C>(a4, b4, to + 4 * stride, add);
        if (R.Value > 5) Put<C>(a5, b5, to + 5 * stride, add);
        if (R.Value > 6) Put<C>(a6, b6, to + 6 * stride, add);
        if (R.Value > 7) Put<C>(a7, b7, to + 7 * stride, add);
        if (R.Value > 8) Put<C>(a8, b8, to + 8 * stride, add);
        if (R.Value > 9) Put<C>(a9, b9, to + 9 * stride, add);
        if (R.Value > 10) Put<C>(a10, b10, to + 10 * stride, add);
        if (R.Value > 11) Put<C>(a11, b11, to + 11 * stride, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<C>(V left, V right, float* to, bool add) where C : ISize
    {
        V.Store(add ? left + V.Load(to) : left, to);
        if (C.Value > 1) V.Store(add ? right + V.Load(to + 16) : right, to + 16);
    }

    /// A panel of up to twelve rows times a panel of columns, in tiles as tall as the registers hold. (Where these are several,
    /// each fetches the same memory ahead: asking for what is there costs less than a second copy of the request.)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void MultiplyPanels<L>(float* rows, int count, float* columns, int width, int depth, float* to, long stride, bool add, in MatMulAhead ahead) where L : IPanelOrder
    {
        int most = Math.Min(MatMulTiling.PanelRows, V.Accumulators);
        for (; count > 0; count -= most, rows += most * L.RowStride, to += most * stride)
            if (width > 16) MultiplyTile<Size2, L>(Math.Min(count, most), rows, columns, depth, to, stride, add, ahead);
            else MultiplyTile<Size1, L>(Math.Min(count, most), rows, columns, depth, to, stride, add, ahead);
    }

    static void MultiplyTile<C, L>(int height, float* rows, float* columns, int depth, float* to, long stride, bool add, in MatMulAhead ahead) where C : ISize where L : IPanelOrder
    {
        switch (height)
        {
            case 1: MultiplyTile<Size1, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 2: MultiplyTile<Size2, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 3: MultiplyTile<Size3, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 4: MultiplyTile<Size4, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 5: MultiplyTile<Size5, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 6: MultiplyTile<Size6, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 7: MultiplyTile<Size7, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 8: MultiplyTile<Size8, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 9: MultiplyTile<Size9, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 10: MultiplyTile<Size10, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 11: MultiplyTile<Size11, C, L>(rows, columns, depth, to, stride, add, ahead); break;
            case 12: MultiplyTile<Size12, C, L>(rows, columns, depth, to, stride, add, ahead); break;
        }
    }
}
