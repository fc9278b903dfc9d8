using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Forward: the statistics, unless the op that made the map left its moments; backward: one pass for the sums, one for dx.
/// Sums are taken of x − k, k the channel's first value: a sample of the channel is within a few deviations of its mean,
/// so nothing is lost where the mean is far above the deviation. Partial sums per tile in float, over tiles in double.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Sums that one tile of the backward pass leaves: of h, of h·(x − mean), of what the slope gets.
    const int BackwardSums = 3 * 16;

    internal override void BatchStatistics(Tensor x, Tensor? moments, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse)
    {
        float* average = Of(runningMean), variance = Of(runningVariance);
        if (mode.Training)
        {
            using var own = moments is null ? New(Shape.Of(2, x.Shape.Channels)) : null;
            if (own is not null) ComputeMoments(x, own);
            average = Of(moments ?? own!);
            variance = average + x.Shape.Channels;
            float unbiased = Count(x.Shape) / (Count(x.Shape) - 1f);
            for (int c = 0; c < x.Shape.Channels; c++)
            {
                Of(runningMean)[c] += mode.Momentum * (average[c] - Of(runningMean)[c]);
                Of(runningVariance)[c] += mode.Momentum * (variance[c] * unbiased - Of(runningVariance)[c]);
            }
        }
        for (int c = 0; c < x.Shape.Channels; c++)
        {
            Of(mean)[c] = average[c];
            Of(inverse)[c] = (float)(1 / Math.Sqrt(variance[c] + (double)mode.Epsilon));
        }
    }

    /// Values of a channel.
    static long Count(Shape s) => s.Count / s.Channels;

    void ComputeMoments(Tensor x, Tensor moments)
    {
        var view = new Channels(x.Shape);
        float* from = Of(x), partials = Scratch(0, 32L * view.Tiles);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) StatisticsTile<Whole>(view, tile, from, partials + 32L * tile);
            else StatisticsTile<Part>(view, tile, from, partials + 32L * tile);
        });
        double count = Count(x.Shape);
        for (int c = 0; c < x.Shape.Channels; c++)
        {
            double offset = Total(view, partials, 32, c) / count, squares = Total(view, partials + 16, 32, c) / count;
            Of(moments)[c] = (float)(from[view.Offset(0, c / 16) + c % 16] + offset);
            Of(moments)[x.Shape.Channels + c] = (float)Math.Max(0, squares - offset * offset);
        }
    }

    internal override void BatchNormBackward(Normalised y, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta, Tensor? dslope)
    {
        var shape = y.Source.Shape;
        var view = new Channels(shape);
        float* x = Of(y.Source), d = Of(dy);
        using var own = dy.NormSums is null ? New(Shape.Of(3, shape.Channels)) : null;
        if (own is not null) ComputeNormSums(view, y, x, d, own);
        float* sums = Of(dy.NormSums ?? own!);
        for (int c = 0; c < shape.Channels; c++)
        {
            Of(dbeta)[c] = sums[c];
            Of(dgamma)[c] = sums[shape.Channels + c] * Of(y.Inverse)[c];
            if (dslope is not null) Of(dslope)[c] = sums[2 * shape.Channels + c];
        }
        if (dx is null) return;
        float* to = Of(dx), dg = Of(dgamma), db = Of(dbeta);
        float share = training ? 1f / Count(shape) : 0;
        // What was just read is written in the cache.
        bool streams = to != d && view.IsMap && Streams(shape);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (streams) InputGradientTile<Streamed>(view, tile, y, x, d, to, dg, db, share);
            else if (view.Lanes(view.Block(tile)) == 16) InputGradientTile<Whole>(view, tile, y, x, d, to, dg, db, share);
            else InputGradientTile<Part>(view, tile, y, x, d, to, dg, db, share);
        });
    }

    void ComputeNormSums(Channels view, Normalised y, float* x, float* dy, Tensor sums)
    {
        float* partials = Scratch(0, (long)BackwardSums * view.Tiles);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) GradientSumsTile<Whole>(view, tile, y, x, dy, partials + (long)BackwardSums * tile);
            else GradientSumsTile<Part>(view, tile, y, x, dy, partials + (long)BackwardSums * tile);
        });
        for (int i = 0; i < 3; i++)
            for (int c = 0; c < sums.Shape.Cols; c++) Of(sums)[i * sums.Shape.Cols + c] = (float)Total(view, partials + i * 16, BackwardSums, c);
    }

    /// A sum of one channel over its tiles, from partial sums `stride` floats apart.
    static double Total(Channels view, float* partials, int stride, int channel)
    {
        double sum = 0;
        for (int i = 0; i < view.TilesPerBlock; i++) sum += partials[(long)stride * view.TileOf(channel / 16, i) + channel % 16];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void StatisticsTile<R>(Channels view, int tile, float* x, float* partial) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        V k = R.Load<V>(x + view.Offset(0, block), lanes), s0 = V.Zero, s1 = V.Zero, q0 = V.Zero, q1 = V.Zero;
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block);
            long ahead = view.Ahead(tile, n);
            int i = 0;
            for (; i + 2 <= pixels; i += 2, p += 2 * stride)
            {
                Lanes.Prefetch(p + ahead, 2);
                V a = R.Load<V>(p, lanes) - k, b = R.Load<V>(p + stride, lanes) - k;
                s0 += a;
                q0 = V.Fma(a, a, q0);
                s1 += b;
                q1 = V.Fma(b, b, q1);
            }
            if (i == pixels) continue;
            V last = R.Load<V>(p, lanes) - k;
            s0 += last;
            q0 = V.Fma(last, last, q0);
        }
        V.Store(s0 + s1, partial);
        V.Store(q0 + q1, partial + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void GradientSumsTile<R>(Channels view, int tile, Normalised y, float* x, float* dy, float* partial) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        var load = new NormaliseOnLoad<V>(y, block);
        V h0 = V.Zero, h1 = V.Zero, t0 = V.Zero, t1 = V.Zero, s0 = V.Zero, s1 = V.Zero;
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = dy + view.Offset(n, block);
            long ahead = view.Ahead(tile, n);
            int i = 0;
            for (; i + 2 <= pixels; i += 2, p += 2 * stride, q += 2 * stride)
            {
                Lanes.Prefetch(p + ahead, 2);
                Lanes.Prefetch(q + ahead, 2);
                load.Apply(R.Load<V>(p, lanes), R.Load<V>(q, lanes), ref h0, ref t0, ref s0);
                load.Apply(R.Load<V>(p + stride, lanes), R.Load<V>(q + stride, lanes), ref h1, ref t1, ref s1);
            }
            if (i < pixels) load.Apply(R.Load<V>(p, lanes), R.Load<V>(q, lanes), ref h0, ref t0, ref s0);
        }
        V.Store(h0 + h1, partial);
        V.Store(t0 + t1, partial + 16);
        V.Store(s0 + s1, partial + 32);
    }

    /// dx = a·h + b·(x − mean) + c
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void InputGradientTile<R>(Channels view, int tile, Normalised y, float* x, float* dy, float* dx, float* dgamma, float* dbeta, float share) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile), ch = 16 * block;
        var back = new NormaliseBackward(y, block);
        V minus = V.Create(-share) * back.Scale, b = minus * V.Load(Of(y.Inverse) + ch) * V.Load(dgamma + ch), c = minus * V.Load(dbeta + ch);
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = dy + view.Offset(n, block), r = dx + view.Offset(n, block);
            long ahead = view.Ahead(tile, n);
            for (int i = 0; i < pixels; i++, p += stride, q += stride, r += stride)
            {
                Lanes.Prefetch(p + ahead, 1);
                Lanes.Prefetch(q + ahead, 1);
                R.Store(back.InputGradient(R.Load<V>(p, lanes), R.Load<V>(q, lanes), b, c), r, lanes);
            }
        }
    }

    /// <summary>Of one block of channels: dx from h = dy·act'.</summary>
    readonly struct NormaliseBackward
    {
        readonly V mean, beta, slope;
        public readonly V Scale;

        public NormaliseBackward(Normalised y, int block)
        {
            int c = 16 * block;
            mean = V.Load(Of(y.Mean) + c);
            Scale = V.Load(Of(y.Gamma) + c) * V.Load(Of(y.Inverse) + c);
            beta = V.Load(Of(y.Beta) + c);
            slope = y.Slope is null ? V.Create(1) : V.Load(Of(y.Slope) + c);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V InputGradient(V x, V dy, V b, V c)
        {
            V offset = x - mean, v = V.Fma(offset, Scale, beta);
            return V.Fma(Scale, V.IfPositive(v, dy, slope * dy), V.Fma(b, offset, c));
        }
    }
}
