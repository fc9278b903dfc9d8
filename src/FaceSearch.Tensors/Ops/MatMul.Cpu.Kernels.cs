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
                { t = V.Create(rows[0 * L.RowStride]); a0 = V.Fma(t, u, a0); if (C.Value > 1) b0 = V.Fma(t, v, b0); }
                if (R.Value > 1) { t = V.Create(rows[1 * L.RowStride]); a1 = V.Fma(t, u, a1); if (C.Value > 1) b1 = V.Fma(t, v, b1); }
                if (R.Value > 2) { t = V.Create(rows[2 * L.RowStride]); a2 = V.Fma(t, u, a2); if (C.Value > 1) b2 = V.Fma(t, v, b2); }
                if (R.Value > 3) { t = V.Create(rows[3 * L.RowStride]); a3 = V.Fma(t, u, a3); if (C.Value > 1) b3 = V.Fma(t, v, b3); }
                if (R.Value > 4) { t = V.Create(rows[4 * L.RowStride]); a4 = V.Fma(t, u, a4); if (C.Value > 1) b4 = V.Fma(t, v, b4); }
                if (R.Value > 5) { t = V.Create(rows[5 * L.RowStride]); a5 = V.Fma(t, u, a5); if (C.Value > 1) b5 = V.Fma(t, v, b5); }
                if (R.Value > 6) { t = V.Create(rows[6 * L.RowStride]); a6 = V.Fma(t, u, a6); if (C.Value > 1) b6 = V.Fma(t, v, b6); }
                if (R.Value > 7) { t = V.Create(rows[7 * L.RowStride]); a7 = V.Fma(t, u, a7); if (C.Value > 1) b7 = V.Fma(t, v, b7); }
                if (R.Value > 8) { t = V.Create(rows[8 * L.RowStride]); a8 = V.Fma(t, u, a8); if (C.Value > 1) b8 = V.Fma(t, v, b8); }
                if (R.Value > 9) { t = V.Create(rows[9 * L.RowStride]); a9 = V.Fma(t, u, a9); if (C.Value > 1) b9 = V.Fma(t, v, b9); }
                if (R.Value > 10) { t = V.Create(rows[10 * L.RowStride]); a10 = V.Fma(t, u, a10); if (C.Value > 1) b10 = V.Fma(t, v, b10); }
                if (R.Value > 11) { t = V.Create(rows[11 * L.RowStride]); a11 = V.Fma(t, u, a11); if (C.Value > 1) b11 = V.Fma(t, v, b11); }
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
