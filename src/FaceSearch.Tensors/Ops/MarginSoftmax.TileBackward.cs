using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    readonly partial struct MarginTile
    {
        /// Logits, or the kept cosines → (∂L/∂cos)/‖w‖, and along[c] = Σ over rows of that times cos.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void ToGradients(Tensor? kept, int[] labels, float* logSums, float* weights, float* trueGradients, float* trueCosines, float scale, float* along)
        {
            V keptScale = V.Create(scale / short.MaxValue);
            for (int c = 0; c < count; c++)
            {
                V sum = V.Zero, inverse = V.Create(inverses[c]);
                float* row = Row(c);
                short* cosines = kept is null ? null : KeptRow(kept, c);
                if (kept is not null) Lanes.Prefetch((float*)KeptRow(kept, c + MarginTiling.TileClasses), tiling.PaddedBatch / 32);
                for (int b = 0; b < tiling.Batch; b += 16)
                {
                    V z = kept is null ? V.Load(row + b) : Restored(cosines + b, keptScale), g = Lanes.Exp(z - V.Load(logSums + b)) * (V.Load(weights + b) * inverse);
                    V.AddProduct(ref sum, g, z);
                    V.Store(g, row + b);
                }
                along[c] = V.Sum(sum) / scale;
            }
            for (int b = 0; b < labels.Length; b++)
            {
                int c = labels[b] - first;
                if ((uint)c >= (uint)count) continue;
                float g = trueGradients[b] * inverses[c];
                Row(c)[b] = g;
                along[c] += g * trueCosines[b];
            }
        }

        /// partial [PaddedDimension][PaddedBatch] = Wᵀ · gradients, or += where asked: both as they lie, the side that broadcasts down the columns of W, whose
        /// lines come from the second-level cache one at a time. Asks for what FinishCentres will change, if any.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void ToRows(float* partial, bool add, in CentreTarget target)
        {
            long next = (long)first * tiling.Dimension;
            for (int k = 0; k < tiling.Dimension; k += Panels.Rows)
                for (int b = 0; b < tiling.Batch; b += Panels.Width, next += Panels.Ahead(count))
                    Panels.Product(count, centres + k, 1, Stride, logits + b, tiling.LogitStride, partial + (long)k * tiling.PaddedBatch + b, tiling.PaddedBatch, add, target.Changes.At(next));
        }

        /// Hands each centre's dw = gradients · x̂ − along/‖w‖ · w to its gradient, or to its update.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void FinishCentres(float* columnStrips, float* along, in CentreTarget target)
        {
            long next = NextTile;
            for (int c = 0; c < count; c += Panels.Rows)
            {
                for (int k = 0; k < tiling.Dimension; k += Panels.Width, next += Panels.Ahead(tiling.Batch))
                    Panels.Product(tiling.Batch, Row(c), tiling.LogitStride, 1, columnStrips + (long)k * tiling.PaddedBatch, Panels.Width, products + k, Stride, add: false, source.At(next));
                for (int i = c; i < Math.Min(count, c + Panels.Rows); i++)
                    target.Finish(source[first + i], products + (i - c) * Stride, -along[i] * inverses[i], first + i, tiling.Dimension);
            }
        }
    }
}
