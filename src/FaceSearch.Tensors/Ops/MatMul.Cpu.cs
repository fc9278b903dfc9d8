using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// c = a·b, blocked: slabs of <see cref="Depth"/> terms; within a slab, a is packed into panels of as many rows as the
/// micro-kernel has and b into panels of as many columns, zeros beyond the edges; then tiles of c, each a b panel in L1
/// against a panels in L2 (Goto and van de Geijn 2008). Every element is summed in one order, whatever the threads.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    const int Depth = 256;
    // Panels of a and of b in one tile of c.
    const int TilePanels = 8;

    // The micro-kernel's tile: 14 rows × two vectors, or 6 or 3 rows × one vector.
    static int KernelRows => V.Accumulators == 28 ? 14 : V.Accumulators;
    static int KernelCols => V.Accumulators == 28 ? 32 : 16;

    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        int m = c.Shape.Rows, n = c.Shape.Cols, k = transposeA ? a.Shape.Rows : a.Shape.Cols;
        int mr = KernelRows, nr = KernelCols, rowPanels = (m + mr - 1) / mr, colPanels = (n + nr - 1) / nr;
        float* p = Of(a), q = Of(b), to = Of(c);
        float* packedA = Scratch(0, (long)Depth * (rowPanels * mr + colPanels * nr)), packedB = packedA + (long)Depth * rowPanels * mr;
        for (int start = 0; start < k; start += Depth)
        {
            int first = start, depth = Math.Min(Depth, k - first);
            workers.Run(rowPanels, (i, _) => Pack(p, transposeA ? 1 : k, transposeA ? m : 1, i * mr, m, mr, first, depth, packedA + (long)i * mr * depth));
            workers.Run(colPanels, (j, _) => Pack(q, transposeB ? k : 1, transposeB ? 1 : n, j * nr, n, nr, first, depth, packedB + (long)j * nr * depth));
            int tileRows = (rowPanels + TilePanels - 1) / TilePanels, tileCols = (colPanels + TilePanels - 1) / TilePanels;
            workers.Run(tileRows * tileCols, (tile, _) => MultiplyTile(packedA, packedB, to, m, n, depth, tile % tileRows * TilePanels, tile / tileRows * TilePanels, first > 0));
        }
    }

    /// Lines (rows of a, columns of b) from <paramref name="line"/> on → [depth][width], zeros past the last line.
    /// One of the strides is 1: lines side by side are copied, lines one after the other are interleaved four at a time.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Pack(float* from, long lineStride, long termStride, int line, int lines, int width, int first, int depth, float* to)
    {
        int there = Math.Min(width, lines - line), i = 0;
        from += line * lineStride + first * termStride;
        if (there < width) new Span<float>(to, width * depth).Clear();
        if (lineStride == 1)
        {
            for (int t = 0; t < depth; t++, from += termStride, to += width) Unsafe.CopyBlockUnaligned(to, from, (uint)there * 4);
            return;
        }
        for (; i + 4 <= there; i += 4)
        {
            float* p = from + i * lineStride, q = p + lineStride, r = q + lineStride, s = r + lineStride, target = to + i;
            for (int t = 0; t < depth; t++, target += width) (target[0], target[1], target[2], target[3]) = (p[t], q[t], r[t], s[t]);
        }
        for (; i < there; i++)
            for (int t = 0; t < depth; t++) to[t * width + i] = from[i * lineStride + t];
    }

    static void MultiplyTile(float* packedA, float* packedB, float* c, int m, int n, int depth, int rowPanel, int colPanel, bool add)
    {
        int mr = KernelRows, nr = KernelCols;
        float* edge = stackalloc float[14 * 32];
        for (int col = colPanel * nr; col < Math.Min(n, (colPanel + TilePanels) * nr); col += nr)
            for (int row = rowPanel * mr; row < Math.Min(m, (rowPanel + TilePanels) * mr); row += mr)
            {
                float* a = packedA + (long)row * depth, b = packedB + (long)col * depth, to = c + (long)row * n + col;
                if (row + mr <= m && col + nr <= n) MicroKernel(a, b, to, n, depth, add);
                else
                {
                    MicroKernel(a, b, edge, nr, depth, false);
                    AddEdge(edge, nr, to, n, Math.Min(mr, m - row), Math.Min(nr, n - col), add);
                }
            }
    }

    static void AddEdge(float* from, int fromStride, float* to, int toStride, int rows, int cols, bool add)
    {
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < cols; c++)
                to[(long)r * toStride + c] = from[r * fromStride + c] + (add ? to[(long)r * toStride + c] : 0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void MicroKernel(float* a, float* b, float* c, int stride, int depth, bool add)
    {
        if (V.Accumulators == 28) Kernel14x2(a, b, c, stride, depth, add);
        else if (V.Accumulators == 6) Kernel6x1(a, b, c, stride, depth, add);
        else Kernel3x1(a, b, c, stride, depth, add);
    }
}
