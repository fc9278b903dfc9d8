using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Forward: one pass for the statistics, one to normalise; backward: one for both sums, one for dx. Sums are taken of
/// x − k, k the channel's first value: a sample of the channel is within a few deviations of its mean, so nothing is lost
/// where the mean is far above the deviation. Partial sums per tile in float, over tiles in double.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    internal override void BatchNorm(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse, Tensor y)
    {
        float* running = Of(runningMean), variance = Of(runningVariance);
        if (mode.Training) BatchStatistics(x, running, variance, mode, Of(mean), Of(inverse));
        else
            for (int c = 0; c < x.Shape.Channels; c++)
            {
                Of(mean)[c] = running[c];
                Of(inverse)[c] = (float)(1 / Math.Sqrt(variance[c] + (double)mode.Epsilon));
            }
        var view = new Channels(x.Shape);
        float* from = Of(x), to = Of(y), g = Of(gamma), b = Of(beta), m = Of(mean), i = Of(inverse);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) NormaliseTile<Whole>(view, tile, from, to, g, b, m, i);
            else NormaliseTile<Part>(view, tile, from, to, g, b, m, i);
        });
    }

    void BatchStatistics(Tensor x, float* runningMean, float* runningVariance, BatchNormMode mode, float* mean, float* inverse)
    {
        var view = new Channels(x.Shape);
        float* from = Of(x), partials = Scratch(0, 32L * view.Tiles);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) StatisticsTile<Whole>(view, tile, from, partials + 32L * tile);
            else StatisticsTile<Part>(view, tile, from, partials + 32L * tile);
        });
        double count = x.Shape.Count / x.Shape.Channels;
        for (int c = 0; c < x.Shape.Channels; c++)
        {
            var (sum, squares) = Total(view, partials, c);
            double offset = sum / count, variance = Math.Max(0, squares / count - offset * offset), average = from[view.Offset(0, c / 16) + c % 16] + offset;
            mean[c] = (float)average;
            inverse[c] = (float)(1 / Math.Sqrt(variance + mode.Epsilon));
            runningMean[c] = (float)(runningMean[c] + mode.Momentum * (average - runningMean[c]));
            runningVariance[c] = (float)(runningVariance[c] + mode.Momentum * (variance * count / (count - 1) - runningVariance[c]));
        }
    }

    internal override void BatchNormBackward(Tensor x, Tensor gamma, Tensor mean, Tensor inverse, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta)
    {
        var view = new Channels(x.Shape);
        float* from = Of(x), d = Of(dy), g = Of(gamma), m = Of(mean), i = Of(inverse), dg = Of(dgamma), db = Of(dbeta), partials = Scratch(0, 32L * view.Tiles);
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) GradientSumsTile<Whole>(view, tile, from, d, m, partials + 32L * tile);
            else GradientSumsTile<Part>(view, tile, from, d, m, partials + 32L * tile);
        });
        for (int c = 0; c < x.Shape.Channels; c++)
        {
            var (sum, products) = Total(view, partials, c);
            db[c] = (float)sum;
            dg[c] = (float)(products * i[c]);
        }
        if (dx is null) return;
        float* to = Of(dx);
        float share = training ? 1f / (x.Shape.Count / x.Shape.Channels) : 0;
        workers.Run(view.Tiles, (tile, _) =>
        {
            if (view.Lanes(view.Block(tile)) == 16) InputGradientTile<Whole>(view, tile, from, d, to, g, m, i, dg, db, share);
            else InputGradientTile<Part>(view, tile, from, d, to, g, m, i, dg, db, share);
        });
    }

    /// Two sums of a channel over its tiles, from partial sums of 16 + 16 lanes a tile.
    static (double First, double Second) Total(Channels view, float* partials, int channel)
    {
        double first = 0, second = 0;
        float* p = partials + 32L * (channel / 16) * view.TilesPerBlock + channel % 16;
        for (int i = 0; i < view.TilesPerBlock; i++, p += 32)
        {
            first += p[0];
            second += p[16];
        }
        return (first, second);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void StatisticsTile<R>(Channels view, int tile, float* x, float* partial) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        V k = R.Load<V>(x + view.Offset(0, block), lanes), s0 = V.Zero, s1 = V.Zero, q0 = V.Zero, q1 = V.Zero;
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block);
            int i = 0;
            for (; i + 2 <= pixels; i += 2, p += 2 * stride)
            {
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
    static void NormaliseTile<R>(Channels view, int tile, float* x, float* y, float* gamma, float* beta, float* mean, float* inverse) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile), c = 16 * block;
        V m = V.Load(mean + c), scale = V.Load(gamma + c) * V.Load(inverse + c), shift = V.Load(beta + c);
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = y + view.Offset(n, block);
            for (int i = 0; i < pixels; i++, p += stride, q += stride) R.Store(V.Fma(R.Load<V>(p, lanes) - m, scale, shift), q, lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void GradientSumsTile<R>(Channels view, int tile, float* x, float* dy, float* mean, float* partial) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile);
        V m = V.Load(mean + 16 * block), s0 = V.Zero, s1 = V.Zero, t0 = V.Zero, t1 = V.Zero;
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = dy + view.Offset(n, block);
            int i = 0;
            for (; i + 2 <= pixels; i += 2, p += 2 * stride, q += 2 * stride)
            {
                V d0 = R.Load<V>(q, lanes), d1 = R.Load<V>(q + stride, lanes);
                s0 += d0;
                t0 = V.Fma(d0, R.Load<V>(p, lanes) - m, t0);
                s1 += d1;
                t1 = V.Fma(d1, R.Load<V>(p + stride, lanes) - m, t1);
            }
            if (i == pixels) continue;
            V last = R.Load<V>(q, lanes);
            s0 += last;
            t0 = V.Fma(last, R.Load<V>(p, lanes) - m, t0);
        }
        V.Store(s0 + s1, partial);
        V.Store(t0 + t1, partial + 16);
    }

    /// dx = a·dy + b·(x − mean) + c
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void InputGradientTile<R>(Channels view, int tile, float* x, float* dy, float* dx, float* gamma, float* mean, float* inverse, float* dgamma, float* dbeta, float share) where R : struct, IReach
    {
        int block = view.Block(tile), lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, end = view.EndImage(tile), ch = 16 * block;
        V m = V.Load(mean + ch), s = V.Load(inverse + ch), a = V.Load(gamma + ch) * s, minus = V.Create(-share) * a;
        V b = minus * s * V.Load(dgamma + ch), c = minus * V.Load(dbeta + ch);
        for (int n = view.FirstImage(tile); n < end; n++)
        {
            float* p = x + view.Offset(n, block), q = dy + view.Offset(n, block), r = dx + view.Offset(n, block);
            for (int i = 0; i < pixels; i++, p += stride, q += stride, r += stride)
                R.Store(V.Fma(a, R.Load<V>(q, lanes), V.Fma(b, R.Load<V>(p, lanes) - m, c)), r, lanes);
        }
    }
}
