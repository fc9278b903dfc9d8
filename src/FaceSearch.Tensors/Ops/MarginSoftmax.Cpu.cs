using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Both passes go over tiles of 64 classes (<see cref="MarginTiling"/>). Forward: lengths of the centres, logits, their online
/// log-sum-exp. Backward: the logits again or the kept cosines, then two products of their gradients: with the centres into
/// the group's part of dx̂, with the rows into dw, which goes to memory or straight into SGD, a few classes at a time.
/// Three quarters of the time is the products' multiply-adds at the core's peak; what helped the rest: the next tile is
/// asked for inside the products (5 to 12 %; in bursts between them it gained nothing), no copy of the centres, a first product
/// that stores instead of adding to zeros. Tried and lost: tiles of 96 and 128 classes (no faster, more scratch), strips of centres
/// as the side that is loaded in vectors (copied or where they lie, 1 to 2 % slower), SGD strip by strip (10 % slower), adding to a result that
/// began as along·w (a pass over dW more), Strassen's seven products of halves for the logits (no faster: 12 % fewer multiply-adds, but more passes and strips).
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    internal override void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        var tiling = MarginTiling.Of(unit, rows.ClassesOf(centres));
        if (rows.Drawn is { } drawn) labels = PlacesOf(drawn);
        var taking = new IndexedRows(centres, rows.Drawn);
        using Tensor rowStrips = New(tiling.Strips), logSums = New(tiling.LogSums);
        Panels.PackTransposed(Of(unit), tiling.Batch, tiling.Dimension, Of(rowStrips));
        workers.Run(tiling.Groups, (group, worker) =>
        {
            float* most = Of(logSums) + 2L * group * tiling.PaddedBatch, sum = most + tiling.PaddedBatch;
            new Span<float>(most, tiling.PaddedBatch).Fill(MarginTile.Excluded);
            new Span<float>(sum, tiling.PaddedBatch).Clear();
            float* scratch = Scratch(worker, tiling.ScratchFloats);
            for (int t = tiling.FirstTile(group); t < tiling.FirstTile(group + 1); t++)
            {
                var tile = new MarginTile(tiling, t, taking, rows.InverseLengths!, scratch);
                var kept = rows.KeptOf(tiling, t);
                bool finite = tile.ComputeLogits(Of(rowStrips), margin.FalseScale, kept, measures: true);
                tile.Exclude(labels, Of(rows.Cosines), kept);
                tile.AddToLogSums(most, sum);
                // The vectors' Max drops a NaN: a broken centre must still show in the loss.
                if (!finite) new Span<float>(sum, tiling.PaddedBatch).Fill(float.NaN);
            }
        });
        Of(loss)[0] = (float)(SumLosses(tiling, labels, margin, Of(logSums), rows) / Counted(labels));
    }

    /// Joins the groups' log-sums of each row, in order, and adds up the rows' losses.
    static double SumLosses(MarginTiling tiling, int[] labels, Margin margin, float* logSums, MarginRows rows)
    {
        double total = 0;
        for (int b = 0; b < tiling.Batch; b++)
        {
            if (labels[b] < 0) continue;
            double most = double.NegativeInfinity, sum = 0;
            for (int g = 0; g < tiling.Groups; g++) most = Math.Max(most, logSums[2L * g * tiling.PaddedBatch + b]);
            for (int g = 0; g < tiling.Groups; g++)
                sum += logSums[(2L * g + 1) * tiling.PaddedBatch + b] * Math.Exp(logSums[2L * g * tiling.PaddedBatch + b] - most);
            Of(rows.Cosines)[b] /= margin.FalseScale;
            Of(rows.FalseLogSums)[b] = (float)(most + Math.Log(sum));
            total += Margin.CrossEntropy(margin.True(Of(rows.Cosines)[b]).Logit, Of(rows.FalseLogSums)[b]).Loss;
        }
        return total;
    }

    internal override void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update)
    {
        var tiling = MarginTiling.Of(unit, rows.ClassesOf(centres));
        if (rows.Drawn is { } drawn) labels = PlacesOf(drawn);
        var taking = new IndexedRows(centres, rows.Drawn);
        using Tensor columnStrips = New(tiling.Strips), rowGradients = New(tiling.RowGradients);
        using Tensor? rowStrips = rows.KeepsAll(tiling) ? null : New(tiling.Strips), partials = dUnit is null ? null : New(tiling.Partials);
        if (rowStrips is not null) Panels.PackTransposed(Of(unit), tiling.Batch, tiling.Dimension, Of(rowStrips));
        Panels.Pack(Of(unit), tiling.Batch, tiling.Dimension, tiling.Dimension, Of(columnStrips), tiling.PaddedBatch);
        var target = new CentreTarget(taking, dCentres, update, rows.Drawn);
        float* logSums = Of(rowGradients), weights = logSums + tiling.PaddedBatch, trueGradients = weights + tiling.PaddedBatch;
        PrepareRows(tiling, labels, margin, rows, Of(dLoss)[0] / Counted(labels), Of(rowGradients));
        int joined = 0;
        workers.Run(tiling.Groups, (group, worker) =>
        {
            float* scratch = Scratch(worker, tiling.ScratchFloats), along = stackalloc float[MarginTiling.TileClasses];
            // A group that finds all before it joined adds its part to theirs at once, from the second part's memory, which nobody else uses then and which
            // stays in the cache; the others' parts wait for the end. Either way they are added in order.
            bool joins = Volatile.Read(ref joined) == group;
            float* partial = partials is null ? null : tiling.PartialOf(Of(partials), joins ? Math.Min(group, 1) : group);
            for (int t = tiling.FirstTile(group); t < tiling.FirstTile(group + 1); t++)
            {
                var kept = rows.KeptOf(tiling, t);
                var tile = new MarginTile(tiling, t, taking, rows.InverseLengths!, scratch);
                if (kept is null)
                {
                    tile.ComputeLogits(Of(rowStrips!), margin.FalseScale, null, measures: false);
                    tile.Exclude(labels, null, null);
                }
                tile.ToGradients(kept, labels, logSums, weights, trueGradients, Of(rows.Cosines), margin.FalseScale, along);
                if (partial is not null) tile.ToRows(partial, add: t > tiling.FirstTile(group), target);
                if (target.IsNeeded) tile.FinishCentres(Of(columnStrips), along, target);
            }
            if (!joins) return;
            if (partial is not null && group > 0) Add(partial, Of(partials!), tiling.PartialFloats);
            Volatile.Write(ref joined, group + 1);
        });
        if (dUnit is not null) SumPartials(tiling, Of(partials!), joined, dUnit);
    }

    /// Of each row: the log-sum-exp of all its logits, the weight of its probabilities, and ∂L/∂cos of its own class.
    static void PrepareRows(MarginTiling tiling, int[] labels, Margin margin, MarginRows rows, float share, float* prepared)
    {
        new Span<float>(prepared, 3 * tiling.PaddedBatch).Clear();
        for (int b = 0; b < tiling.Batch; b++)
        {
            if (labels[b] < 0) continue;
            var (logit, slope) = margin.True(Of(rows.Cosines)[b]);
            var (loss, miss) = Margin.CrossEntropy(logit, Of(rows.FalseLogSums)[b]);
            prepared[b] = (float)(logit + loss);
            prepared[tiling.PaddedBatch + b] = share * margin.FalseScale;
            prepared[2 * tiling.PaddedBatch + b] = (float)(-miss * slope * share);
        }
    }

    /// dUnit = the groups' parts, of which some are joined already, added in order and transposed; a few columns at a time.
    void SumPartials(MarginTiling tiling, float* partials, int joined, Tensor dUnit) =>
        workers.Run(tiling.PaddedDimension / Panels.Width, (strip, _) =>
        {
            var (batch, dimension, stride) = (tiling.Batch, tiling.Dimension, tiling.PaddedBatch);
            int column = strip * Panels.Width, columns = Math.Min(Panels.Width, dimension - column);
            float* sum = partials + (long)column * stride, to = Of(dUnit) + column;
            for (int group = joined; group < tiling.Groups; group++) Add(tiling.PartialOf(sum, group), sum, (long)Panels.Width * stride);
            for (int b = 0; b < batch; b++, to += dimension)
                for (int k = 0; k < columns; k++) to[k] = sum[k * stride + b];
        });

    /// sum += part, whole vectors.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Add(float* part, float* sum, long floats)
    {
        for (long i = 0; i < floats; i += 16) V.Store(V.Load(sum + i) + V.Load(part + i), sum + i);
    }
}
