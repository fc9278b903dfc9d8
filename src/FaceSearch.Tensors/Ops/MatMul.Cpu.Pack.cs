using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FaceSearch.Tensors;

/// <summary>
/// What one call of the micro-kernel fetches for later: every sixteen turns `Count` cache lines `Stride` floats apart, then
/// on by `Step` floats. Memory is slow to answer, so asking must be spread over the arithmetic.
/// </summary>
readonly unsafe struct MatMulAhead(float* at, long stride, int count, long step)
{
    public readonly float* At = at;
    public readonly long Stride = stride, Step = step;
    public readonly int Count = count;

    /// The share of one call among several, of so many turns each, in fetching a part of an operand.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static MatMulAhead Of(in MatMulLines from, int line, int lines, int term, int depth, int turns, int call, int calls)
    {
        if (from.TermStride == 1)
        {
            int first = lines * call / calls, next = lines * (call + 1) / calls;
            return new(from.At(line + first, term), from.LineStride, next - first, 16);
        }
        int skip = call * MatMulTiling.Parts(turns, 16);
        return skip < depth ? new(from.At(line, term + skip), 16, MatMulTiling.Parts(lines, 16), from.TermStride) : default;
    }
}

/// <summary>
/// Packing. Rows keep the order that they have, columns become [term][column] in panels as wide as the micro-kernel. Lines
/// that lie side by side are read term by term, and since such rows of memory are far apart, asked for a few terms ahead.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    const int TermsAhead = 4;

    static int PanelColumns { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => V.Accumulators == 28 ? 32 : 16; }

    /// Columns of a panel with zeros up to whole vectors.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static int PaddedColumns(int columns) => (columns + 15) & ~15;

    /// Rows → panels of twelve, [row][term] or [term][row] as they lie.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PackRows(in MatMulLines from, int first, int count, int term, int depth, float* to)
    {
        float* p = from.At(first, term);
        if (from.TermStride == 1)
        {
            for (int i = 0; i < count; i++, p += from.LineStride, to += MatMulTiling.MostDepth)
            {
                int t = 0;
                for (; t + 16 <= depth; t += 16) V.Store(V.Load(p + t), to + t);
                for (; t < depth; t++) to[t] = p[t];
            }
            return;
        }
        int whole = count / MatMulTiling.PanelRows * MatMulTiling.PanelRows;
        for (int t = 0; t < depth; t++, p += from.TermStride, to += MatMulTiling.PanelRows)
        {
            float* panel = to, ahead = p + TermsAhead * from.TermStride;
            for (int i = 0; i < whole; i += MatMulTiling.PanelRows, panel += MatMulTiling.PanelFloats)
            {
                Lanes.PrefetchNear(ahead + i);
                Vector128.Store(Vector128.Load(p + i), panel);
                Vector128.Store(Vector128.Load(p + i + 4), panel + 4);
                Vector128.Store(Vector128.Load(p + i + 8), panel + 8);
            }
            for (int i = whole; i < count; i++) panel[i - whole] = p[i];
        }
    }

    /// Columns → panels [depth][16 or 32], zeros past the last column.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PackColumns(in MatMulLines from, int first, int count, int term, int depth, float* to)
    {
        float* p = from.At(first, term);
        int most = PanelColumns, whole = count / most * most, width = PaddedColumns(count - whole);
        if (from.LineStride == 1)
        {
            for (int t = 0; t < depth; t++, p += from.TermStride)
            {
                float* panel = to + t * most, ahead = p + TermsAhead * from.TermStride;
                for (int j = 0; j < whole; j += most, panel += depth * most)
                    for (int v = 0; v < most; v += 16)
                    {
                        Lanes.PrefetchNear(ahead + j + v);
                        V.Store(V.Load(p + j + v), panel + v);
                    }
                for (int v = 0; v < width; v += 16) V.Store(Lanes.LoadPart<V>(p + whole + v, count - whole - v), to + whole * depth + t * width + v);
            }
            return;
        }
        for (int j = 0; j < count; j += 4, p += 4 * from.LineStride)
            PackFour(p, from.LineStride, count - j, depth, to + j / most * most * depth + j % most, j < whole ? most : width);
        // PackFour leaves whole fours; the last vector may need more.
        for (int j = (count + 3) & ~3; j < whole + width; j++)
            for (int t = 0; t < depth; t++) to[whole * depth + t * width + j - whole] = 0;
    }

    /// Up to four lines [term] → [term][stride], zeros for lines that are not there.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PackFour(float* from, long line, int lines, int depth, float* to, int stride)
    {
        int t = 0;
        if (lines >= 4)
            for (; t + 4 <= depth; t += 4) Transpose<No>(from + t, line, to + t * stride, stride);
        for (; t < depth; t++)
            for (int i = 0; i < 4; i++) to[t * stride + i] = i < lines ? from[i * line + t] : 0;
    }

    /// Four rows of four → four columns, written or added.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Transpose<A>(float* from, long fromStride, float* to, long toStride) where A : IChoice
    {
        Vector128<float> a = Vector128.Load(from), b = Vector128.Load(from + fromStride), c = Vector128.Load(from + 2 * fromStride), d = Vector128.Load(from + 3 * fromStride);
        if (Sse.IsSupported)
        {
            Vector128<float> ab = Sse.UnpackLow(a, b), cd = Sse.UnpackLow(c, d), abHigh = Sse.UnpackHigh(a, b), cdHigh = Sse.UnpackHigh(c, d);
            Put<A>(Sse.MoveLowToHigh(ab, cd), to);
            Put<A>(Sse.MoveHighToLow(cd, ab), to + toStride);
            Put<A>(Sse.MoveLowToHigh(abHigh, cdHigh), to + 2 * toStride);
            Put<A>(Sse.MoveHighToLow(cdHigh, abHigh), to + 3 * toStride);
        }
        else
            for (int i = 0; i < 4; i++) Put<A>(Vector128.Create(a[i], b[i], c[i], d[i]), to + i * toStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put<A>(Vector128<float> v, float* to) where A : IChoice => Vector128.Store(A.Is ? v + Vector128.Load(to) : v, to);
}
