using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// c = a·b. One operand gives rows, whose elements are broadcast, the other columns, whose elements fill vectors; cᵀ = bᵀ·aᵀ
/// lets either operand be either. Rows need no transposing however they lie in memory (see <see cref="IPanelOrder"/>), columns
/// do when b is transposed: then the smaller operand becomes the columns, and tiles of c are transposed on their way out, so
/// that a large weight is only copied.
/// c is cut into tiles; a tile goes over slabs of <see cref="MatMulTiling.MostDepth"/> terms, packs the slab's columns into
/// panels (second-level cache), then block by block its rows, and multiplies panel by panel (Goto and van de Geijn 2008);
/// meanwhile the micro-kernel fetches the next step's memory. Rows of 512 terms lie as packing would leave them and are read in place. Every element is summed in one order, slab after slab,
/// whatever the tiles, so the tiles may follow the number of threads.
/// Tried and lost: packing whole operands first (a large weight is read, written and read again, with a barrier between), panels
/// of columns in the outer loop (c is written down its columns), no fetching ahead, slabs of 256 or 384 terms.
/// </summary>
static class MatMulTiling
{
    /// Terms of a slab; rows of a packed panel.
    public const int MostDepth = 512, PanelRows = 12;
    /// Rows packed at a time, and floats of a packed panel and block.
    public const int BlockRows = 2 * PanelRows, PanelFloats = PanelRows * MostDepth, BlockFloats = BlockRows * MostDepth;
    /// A tile's packed columns take half of a second-level cache of 1 MB.
    public const int MostRows = 1032, MostColumns = 256;
    /// Below this size tiles are not cut for the sake of more threads.
    public const int LeastRows = 48, LeastColumns = 64, TilesPerThread = 2;

    public static int Parts(int n, int size) => (n + size - 1) / size;

    /// The size of near-equal parts of n, each at most that large, rounded up to whole steps.
    public static int NearEqual(int n, int most, int step) => Parts(Parts(n, Parts(n, most)), step) * step;
}

/// One operand: element (line, term) is data[line·LineStride + term·TermStride]; lines are its rows or columns, and one stride is 1.
readonly unsafe struct MatMulLines(float* data, int lines, long lineStride, long termStride)
{
    public readonly int Count = lines;
    public readonly long LineStride = lineStride, TermStride = termStride;
    public float* At(long line, long term) => data + line * LineStride + term * TermStride;
}

public sealed unsafe partial class Cpu<V>
{
    internal override void MatMul(Tensor a, bool transposeA, Tensor b, bool transposeB, Tensor c)
    {
        int m = c.Shape.Rows, n = c.Shape.Cols, k = transposeA ? a.Shape.Rows : a.Shape.Cols;
        MatMulLines rows = transposeA ? new(Of(a), m, 1, m) : new(Of(a), m, k, 1), columns = transposeB ? new(Of(b), n, k, 1) : new(Of(b), n, 1, n);
        bool swap = transposeB && (transposeA || 2 * m <= n);
        var product = swap ? new TiledProduct(columns, rows, k, new(Of(c), n, 1, n), workers.Count) : new TiledProduct(rows, columns, k, new(Of(c), m, n, 1), workers.Count);
        workers.Run(product.Tiles, (tile, worker) => product.Multiply(tile, Scratch(worker, TiledProduct.ScratchFloats)));
    }

    readonly struct TiledProduct
    {
        public const int ScratchFloats = MatMulTiling.MostDepth * MatMulTiling.MostColumns + MatMulTiling.BlockFloats + MatMulTiling.PanelRows * 32;

        readonly MatMulLines rows, columns, to;
        readonly int terms, depth, tileRows, tileColumns;

        public TiledProduct(MatMulLines rows, MatMulLines columns, int terms, MatMulLines to, int threads)
        {
            (this.rows, this.columns, this.terms, this.to) = (rows, columns, terms, to);
            depth = MatMulTiling.NearEqual(terms, MatMulTiling.MostDepth, 16);
            tileRows = MatMulTiling.NearEqual(rows.Count, MatMulTiling.MostRows, MatMulTiling.PanelRows);
            tileColumns = MatMulTiling.NearEqual(columns.Count, MatMulTiling.MostColumns, 32);
            while (threads > 1 && Tiles < MatMulTiling.TilesPerThread * threads)
            {
                bool cutRows = tileRows > MatMulTiling.LeastRows, cutColumns = tileColumns > MatMulTiling.LeastColumns;
                if (!cutRows && !cutColumns) break;
                if (cutColumns && (!cutRows || tileColumns >= tileRows)) tileColumns = MatMulTiling.NearEqual(columns.Count, tileColumns / 2, 32);
                else tileRows = MatMulTiling.NearEqual(rows.Count, tileRows / 2, MatMulTiling.PanelRows);
            }
        }

        /// Rows that lie as packing would leave them: those of 512 terms, as embeddings commonly have.
        bool ArePacked => rows.TermStride == 1 && rows.LineStride == MatMulTiling.MostDepth;

        public int Tiles => TilesDown * MatMulTiling.Parts(columns.Count, tileColumns);
        int TilesDown => MatMulTiling.Parts(rows.Count, tileRows);

        /// One block of rows against the columns of a tile, over one slab of terms.
        readonly record struct Step(int Row, int Height, int Column, int Width, int Term, int Depth, bool IsNewSlab, bool IsLast);

        Step StepOf(int tile, int index)
        {
            int top = tile % TilesDown * tileRows, height = Math.Min(tileRows, rows.Count - top), column = tile / TilesDown * tileColumns;
            int blocks = MatMulTiling.Parts(height, MatMulTiling.BlockRows), block = index % blocks, row = block * MatMulTiling.BlockRows, term = index / blocks * depth;
            return new(top + row, Math.Min(MatMulTiling.BlockRows, height - row), column, Math.Min(tileColumns, columns.Count - column),
                term, Math.Min(depth, terms - term), block == 0, block == blocks - 1 && term + depth >= terms);
        }

        public void Multiply(int tile, float* scratch)
        {
            float* packedRows = scratch + MatMulTiling.MostDepth * MatMulTiling.MostColumns;
            var step = StepOf(tile, 0);
            for (int index = 1; ; index++)
            {
                var next = !step.IsLast ? StepOf(tile, index) : tile + 1 < Tiles ? StepOf(tile + 1, 0) : default;
                if (step.IsNewSlab) PackColumns(columns, step.Column, step.Width, step.Term, step.Depth, scratch);
                float* panels = rows.At(step.Row, step.Term);
                if (!ArePacked) PackRows(rows, step.Row, step.Height, step.Term, step.Depth, panels = packedRows);
                if (rows.TermStride == 1) Multiply<RowByRow>(step, next, panels, scratch, packedRows + MatMulTiling.BlockFloats);
                else Multiply<TermByTerm>(step, next, panels, scratch, packedRows + MatMulTiling.BlockFloats);
                if (step.IsLast) return;
                step = next;
            }
        }

        /// One step, its panels of columns innermost: c is written along its rows. All up to the choice of the
        /// micro-kernel is inlined here, or a product of few terms would take half as long again.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Multiply<L>(in Step step, in Step next, float* panels, float* packedColumns, float* edge) where L : IPanelOrder
        {
            int most = PanelColumns, call = 0, calls = MatMulTiling.Parts(step.Height, MatMulTiling.PanelRows) * MatMulTiling.Parts(step.Width, most);
            for (int i = 0; i < step.Height; i += MatMulTiling.PanelRows)
                for (int j = 0; j < step.Width; j += most)
                {
                    int height = Math.Min(MatMulTiling.PanelRows, step.Height - i), there = Math.Min(most, step.Width - j);
                    float* a = panels + i * MatMulTiling.MostDepth, b = packedColumns + (long)j * step.Depth, c = to.At(step.Row + i, step.Column + j);
                    var ahead = Ahead(next, step.Depth, call++, calls);
                    if (to.TermStride == 1 && there == PaddedColumns(there)) MultiplyPanels<L>(a, height, b, there, step.Depth, c, to.LineStride, step.Term > 0, ahead);
                    else
                    {
                        MultiplyPanels<L>(a, height, b, there, step.Depth, edge, PaddedColumns(there), false, ahead);
                        if (to.LineStride == 1 && step.Term == 0) WriteTransposed<No>(edge, height, there, c, to.TermStride);
                        else if (to.LineStride == 1) WriteTransposed<Yes>(edge, height, there, c, to.TermStride);
                        else WritePart(edge, height, there, c, to.LineStride, step.Term > 0);
                    }
                }
        }

        /// What the micro-kernel's call number `call` fetches of the next step: its columns first, if they are new, then its rows.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        MatMulAhead Ahead(in Step next, int turns, int call, int calls)
        {
            int forColumns = next.IsNewSlab ? calls * next.Width / (next.Width + next.Height) : 0;
            return call < forColumns ? MatMulAhead.Of(columns, next.Column, next.Width, next.Term, next.Depth, turns, call, forColumns)
                : MatMulAhead.Of(rows, next.Row, next.Height, next.Term, next.Depth, turns, call - forColumns, calls - forColumns);
        }
    }

    /// Adds or writes the part of a tile that lies within c.
    static void WritePart(float* from, int rows, int columns, float* to, long stride, bool add)
    {
        for (int r = 0; r < rows; r++, from += PaddedColumns(columns), to += stride)
            for (int c = 0; c < columns; c++) to[c] = add ? to[c] + from[c] : from[c];
    }

    /// The same into a c whose rows are the tile's columns.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void WriteTransposed<A>(float* from, int rows, int columns, float* to, long stride) where A : IChoice
    {
        int width = PaddedColumns(columns), wholeRows = rows & ~3, wholeColumns = columns & ~3;
        // The next panel's lines: a store that finds none holds up those after it.
        for (int c = 0; c < columns; c++) Lanes.Prefetch(to + c * stride + rows, 1);
        for (int c = 0; c < wholeColumns; c += 4)
        {
            float* p = from + c, q = to + c * stride, end = q + wholeRows;
            for (; q < end; q += 4, p += 4 * width) Transpose<A>(p, width, q, stride);
        }
        for (int c = 0; c < columns; c++)
            for (int r = c < wholeColumns ? wholeRows : 0; r < rows; r++) to[c * stride + r] = from[r * width + c] + (A.Is ? to[c * stride + r] : 0);
    }
}
