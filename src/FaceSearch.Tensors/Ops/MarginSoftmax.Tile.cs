using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// How the head is cut. Classes go in tiles, whose logits exist only in a worker's scratch memory, and tiles in groups,
/// each of which leaves one partial result; neither depends on the number of threads. Batch and dimension are padded to
/// the widest strip, so that memory is the same for every instruction set.
/// </summary>
readonly record struct MarginTiling(int Batch, int Dimension, int Classes)
{
    /// A tile's centres and logits stay in a core's second-level cache.
    public const int TileClasses = 64;
    // Groups share the work between threads and each costs B·d floats for its part of the embeddings' gradient.
    const int LeastTilesPerGroup = 4, MostGroups = 32;

    public static MarginTiling Of(Tensor unit, Tensor centres) => new(unit.Shape.Rows, unit.Shape.Cols, centres.Shape.Rows);

    public int Tiles => (Classes + TileClasses - 1) / TileClasses;
    public int Groups => Math.Clamp(Tiles / LeastTilesPerGroup, 1, MostGroups);
    public int PaddedBatch => (Batch + 31) / 32 * 32;
    public int PaddedDimension => (Dimension + 31) / 32 * 32;
    /// Sixteen floats more than the batch, lest a column of logits fall into few sets of the cache.
    public int LogitStride => PaddedBatch + 16;
    public long LogitFloats => (long)TileClasses * LogitStride;
    public long CentreFloats => (long)TileClasses * PaddedDimension;
    public long ScratchFloats => LogitFloats + 3 * CentreFloats;

    public Shape Strips => Shape.Of(PaddedDimension, PaddedBatch);
    public Shape LogSums => Shape.Of(Groups, 2, PaddedBatch);
    public Shape RowGradients => Shape.Of(3, PaddedBatch);
    public Shape Partials => Shape.Of(Groups, PaddedDimension, PaddedBatch);
    public int FirstTile(int group) => (int)((long)group * Tiles / Groups);
}

public sealed unsafe partial class Cpu<V>
{
    /// One tile of classes in a worker's scratch: the centres (in place, or copied with zeros around them where the tile
    /// or the dimension is ragged) and the logits of all rows, [TileClasses][LogitStride].
    readonly struct MarginTile
    {
        // A logit that adds nothing: its exponential vanishes, and so does its product with it.
        public const float Excluded = -1e6f;

        readonly MarginTiling tiling;
        readonly int first, count;
        readonly long stride;
        readonly float* centres, logits, strips, edge;

        public MarginTile(MarginTiling tiling, int tile, float* allCentres, float* scratch)
        {
            this.tiling = tiling;
            (first, count) = (tile * MarginTiling.TileClasses, Math.Min(MarginTiling.TileClasses, tiling.Classes - tile * MarginTiling.TileClasses));
            logits = scratch;
            strips = logits + tiling.LogitFloats;
            edge = strips + tiling.CentreFloats;
            centres = allCentres + (long)first * tiling.Dimension;
            stride = tiling.PaddedDimension;
            if (!IsRagged) return;
            float* copy = edge + tiling.CentreFloats;
            new Span<float>(copy, (int)tiling.CentreFloats).Clear();
            for (int c = 0; c < count; c++) new Span<float>(centres + (long)c * tiling.Dimension, tiling.Dimension).CopyTo(new(copy + c * stride, tiling.Dimension));
            centres = copy;
        }

        bool IsRagged => count < MarginTiling.TileClasses || tiling.Dimension < tiling.PaddedDimension;

        /// 1/‖w‖ of each centre, 0 for a centre of zeros. False if one has no finite length.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public bool InverseLengths(float* inverses)
        {
            bool finite = true;
            for (int c = 0; c < count; c++)
            {
                float squares = Dot(centres + c * stride, centres + c * stride, tiling.PaddedDimension);
                finite &= float.IsFinite(squares);
                inverses[c] = squares == 0 ? 0 : 1 / MathF.Sqrt(squares);
            }
            return finite;
        }

        /// logits = scale · ŵ · x̂ for all classes of the tile and all rows.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void ComputeLogits(float* rowStrips, float* inverses, float scale)
        {
            new Span<float>(logits, (int)tiling.LogitFloats).Clear();
            for (int b = 0; b < tiling.Batch; b += Panels.Width)
                for (int c = 0; c < count; c += Panels.Rows)
                    Panels.AddProduct(tiling.Dimension, centres + c * stride, stride, 1, rowStrips + (long)b * tiling.Dimension, logits + (long)c * tiling.LogitStride + b, tiling.LogitStride);
            for (int c = 0; c < count; c++)
            {
                var factor = V.Create(inverses[c] * scale);
                float* row = logits + (long)c * tiling.LogitStride;
                for (int b = 0; b < tiling.Batch; b += 16) V.Store(V.Load(row + b) * factor, row + b);
            }
        }

        /// Takes the rows' own classes out, and tells their logits where cosines is given.
        public void Exclude(int[] labels, float* trueLogits)
        {
            for (int b = 0; b < labels.Length; b++)
            {
                if ((uint)(labels[b] - first) >= (uint)count) continue;
                float* logit = Logit(labels[b], b);
                if (trueLogits is not null) trueLogits[b] = *logit;
                *logit = Excluded;
            }
        }

        float* Logit(int label, int row) => logits + (long)(label - first) * tiling.LogitStride + row;

        /// Online log-sum-exp: most is the largest logit so far, sum the sum of exp(logit − most).
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void AddToLogSums(float* most, float* sum)
        {
            for (int b = 0; b < tiling.Batch; b += 16)
            {
                V before = V.Load(most + b), now = before;
                for (int c = 0; c < count; c++) now = V.Max(now, V.Load(logits + (long)c * tiling.LogitStride + b));
                V s = V.Load(sum + b) * Lanes.Exp(before - now);
                for (int c = 0; c < count; c++) s += Lanes.Exp(V.Load(logits + (long)c * tiling.LogitStride + b) - now);
                V.Store(now, most + b);
                V.Store(s, sum + b);
            }
        }

        /// logits → (∂L/∂cos)/‖w‖, and along[c] = Σ over rows of that times cos.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void ToGradients(int[] labels, float* logSums, float* weights, float* trueGradients, float* trueCosines, float* inverses, float scale, float* along)
        {
            for (int c = 0; c < count; c++)
            {
                V sum = V.Zero, inverse = V.Create(inverses[c]);
                float* row = logits + (long)c * tiling.LogitStride;
                for (int b = 0; b < tiling.Batch; b += 16)
                {
                    V z = V.Load(row + b), g = Lanes.Exp(z - V.Load(logSums + b)) * (V.Load(weights + b) * inverse);
                    sum = V.Fma(g, z, sum);
                    V.Store(g, row + b);
                }
                along[c] = V.Sum(sum) / scale;
            }
            for (int b = 0; b < labels.Length; b++)
            {
                int c = labels[b] - first;
                if ((uint)c >= (uint)count) continue;
                float g = trueGradients[b] * inverses[c];
                *Logit(labels[b], b) = g;
                along[c] += g * trueCosines[b];
            }
        }

        /// partial += gradientsᵀ · W, in strips [⌈d/Width⌉][PaddedBatch][Width].
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void AddToRows(float* partial)
        {
            Panels.Pack(centres, count, tiling.PaddedDimension, stride, strips, MarginTiling.TileClasses);
            for (int k = 0; k < tiling.Dimension; k += Panels.Width)
                for (int b = 0; b < tiling.Batch; b += Panels.Rows)
                    Panels.AddProduct(count, logits + b, 1, tiling.LogitStride, strips + (long)k * MarginTiling.TileClasses, partial + (long)k * tiling.PaddedBatch + b * Panels.Width, Panels.Width);
        }

        /// dW = gradients · x̂ − along/‖w‖ · w, straight into the result unless the tile is ragged.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void WriteCentres(float* columnStrips, float* along, float* inverses, float* allGradients)
        {
            float* result = allGradients + (long)first * tiling.Dimension, target = IsRagged ? edge : result;
            for (int c = 0; c < count; c++)
            {
                var factor = V.Create(-along[c] * inverses[c]);
                for (int k = 0; k < tiling.PaddedDimension; k += 16) V.Store(V.Load(centres + c * stride + k) * factor, target + c * stride + k);
            }
            for (int c = 0; c < count; c += Panels.Rows)
                for (int k = 0; k < tiling.Dimension; k += Panels.Width)
                    Panels.AddProduct(tiling.Batch, logits + (long)c * tiling.LogitStride, tiling.LogitStride, 1, columnStrips + (long)k * tiling.PaddedBatch, target + c * stride + k, stride);
            if (!IsRagged) return;
            for (int c = 0; c < count; c++) new Span<float>(edge + c * stride, tiling.Dimension).CopyTo(new(result + (long)c * tiling.Dimension, tiling.Dimension));
        }
    }
}
