using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// One tile of classes in a worker's scratch: the centres (in place, or copied with zeros around them where the tile
    /// or the dimension is ragged, or its classes are drawn) and the logits of all rows, [TileClasses][LogitStride].
    readonly partial struct MarginTile
    {
        // A logit that adds nothing: its exponential vanishes, and so does its product with it.
        public const float Excluded = -1e6f;
        // What is kept in the place of such a cosine; no other is as low.
        const short ExcludedCosine = short.MinValue;

        readonly MarginTiling tiling;
        readonly int first, count;
        readonly IndexedRows source;
        readonly float* centres, logits, products, inverses;

        /// Inverse lengths are of all classes: what <see cref="ComputeLogits"/> writes with `measures`, and everything else reads.
        public MarginTile(MarginTiling tiling, int tile, IndexedRows source, Tensor inverseLengths, float* scratch)
        {
            (this.tiling, this.source) = (tiling, source);
            (first, count) = (tile * MarginTiling.TileClasses, Math.Min(MarginTiling.TileClasses, tiling.Classes - tile * MarginTiling.TileClasses));
            inverses = Of(inverseLengths) + first;
            logits = scratch;
            products = logits + tiling.LogitFloats;
            bool ragged = tiling.Dimension < tiling.PaddedDimension || count < MarginTiling.TileClasses;
            if (!ragged && source.AreAll)
            {
                centres = source[first];
                return;
            }
            centres = products + tiling.ProductFloats;
            if (ragged) new Span<float>(centres, checked((int)tiling.CentreFloats)).Clear();
            for (int c = 0; c < count; c++) new Span<float>(source[first + c], tiling.Dimension).CopyTo(new(centres + c * Stride, tiling.Dimension));
        }

        long Stride => tiling.PaddedDimension;
        /// The first float of the tile after this one, counted from the first of all.
        long NextTile => (long)(first + MarginTiling.TileClasses) * tiling.Dimension;

        /// 1/‖w‖ of some centres, 0 for a centre of zeros. False if one has no finite length.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        bool InverseLengths(int begin, int end)
        {
            bool finite = true;
            for (int c = begin; c < end; c++)
            {
                V squares = V.Zero, others = V.Zero;
                for (float* w = centres + c * Stride, last = w + tiling.PaddedDimension; w < last; w += 32)
                {
                    V v = V.Load(w), u = V.Load(w + 16);
                    V.AddProduct(ref squares, v, v);
                    V.AddProduct(ref others, u, u);
                }
                inverses[c] = Inverse(V.Sum(squares + others), ref finite);
            }
            return finite;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static float Inverse(float squares, ref bool finite)
        {
            finite &= float.IsFinite(squares);
            return squares == 0 ? 0 : 1 / MathF.Sqrt(squares);
        }

        /// logits = scale · ŵ · x̂ for all classes of the tile and all rows; keeps the cosines in 16 bits where asked, and measures the centres,
        /// unless that has been done. A few classes at a time, which then lie in the first-level cache. False if a centre measured has no finite length.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public bool ComputeLogits(float* rowStrips, float scale, Tensor? kept, bool measures)
        {
            bool finite = true;
            long next = NextTile;
            for (int k = 0; k < tiling.Dimension; k += MarginTiling.Depth)
            {
                int depth = Math.Min(MarginTiling.Depth, tiling.Dimension - k);
                for (int c = 0; c < count; c += Panels.Rows)
                {
                    int end = Math.Min(count, c + Panels.Rows);
                    if (k == 0 && measures) finite &= InverseLengths(c, end);
                    for (int b = 0; b < tiling.Batch; b += Panels.Width, next += Panels.Ahead(depth))
                        Panels.Product(depth, centres + c * Stride + k, Stride, 1, rowStrips + (long)b * tiling.Dimension + k * Panels.Width, Panels.Width, Row(c) + b, tiling.LogitStride, add: k > 0, source.At(next));
                    if (k + depth < tiling.Dimension) continue;
                    for (int i = c; i < end; i++)
                        if (kept is null) Scale(Row(i), inverses[i] * scale);
                        else ScaleAndKeep(Row(i), inverses[i] * scale, inverses[i] * short.MaxValue, KeptRow(kept, i));
                }
            }
            return finite;
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Scale(float* row, float scale)
        {
            V factor = V.Create(scale);
            for (int b = 0; b < tiling.Batch; b += 16) V.Store(V.Load(row + b) * factor, row + b);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void ScaleAndKeep(float* row, float scale, float keptScale, short* kept)
        {
            V factor = V.Create(scale), keptFactor = V.Create(keptScale);
            for (int b = 0; b < tiling.Batch; b += 16)
            {
                V dot = V.Load(row + b);
                V.StoreShorts(dot * keptFactor, kept + b);
                V.Store(dot * factor, row + b);
            }
        }

        float* Row(int c) => logits + (long)c * tiling.LogitStride;
        short* KeptRow(Tensor kept, int c) => (short*)Of(kept) + (long)(first + c) * tiling.PaddedBatch;

        /// The logits again of sixteen rows, from kept cosines.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static V Restored(short* cosines, V scale)
        {
            V kept = V.LoadShorts(cosines);
            return V.IfPositive(kept - V.Create(ExcludedCosine), kept * scale, V.Create(Excluded));
        }

        /// Takes the rows' own classes out, and tells their logits where cosines is given.
        public void Exclude(int[] labels, float* trueLogits, Tensor? kept)
        {
            for (int b = 0; b < labels.Length; b++)
            {
                int c = labels[b] - first;
                if ((uint)c >= (uint)count) continue;
                if (trueLogits is not null) trueLogits[b] = Row(c)[b];
                Row(c)[b] = Excluded;
                if (kept is not null) KeptRow(kept, c)[b] = ExcludedCosine;
            }
        }

        /// Online log-sum-exp: most is the largest logit so far, sum the sum of exp(logit − most).
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void AddToLogSums(float* most, float* sum)
        {
            long stride = tiling.LogitStride, end = count * stride;
            for (int b = 0; b < tiling.Batch; b += 16)
            {
                V before = V.Load(most + b), now = before;
                for (float* z = logits + b, last = z + end; z < last; z += stride) now = V.Max(now, V.Load(z));
                V s = V.Load(sum + b) * Lanes.Exp(before - now);
                for (float* z = logits + b, last = z + end; z < last; z += stride) s += Lanes.Exp(V.Load(z) - now);
                V.Store(now, most + b);
                V.Store(s, sum + b);
            }
        }
    }
}
