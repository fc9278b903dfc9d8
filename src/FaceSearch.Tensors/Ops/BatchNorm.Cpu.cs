using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Forward: the statistics, unless the op that made the map left its moments; backward: one pass for the sums, one for dx.
/// Sums are taken of x − k, k the channel's first value: a sample of the channel is within a few deviations of its mean,
/// so nothing is lost where the mean is far above the deviation. Partial sums of a group of images in float, over groups in double.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Sums that a group of images leaves in the backward pass: of h, of h·(x − mean), of what the slope gets.
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
        float* from = Of(x), partials = Scratch(0, 32L * view.Partials);
        ForPlanes(view, partials, 32, (block, at, partial) =>
        {
            float* first = from + view.Offset(0, block);
            if (view.Lanes(block) == 16) AddStatistics<Whole>(view, block, first, from + at, partial);
            else AddStatistics<Part>(view, block, first, from + at, partial);
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
        FinishNorm(new(y, training, dgamma, dbeta), dy, dx);
    }

    internal override void FinishNorm(UnfinishedNorm rest, Tensor dy, Tensor dx)
    {
        var shape = dx.Shape;
        var view = new Channels(shape);
        float* x = Of(rest.Y.Source), d = Of(dy), to = Of(dx);
        // What was just read is written in the cache.
        bool streams = to != d && view.IsMap && Streams(shape);
        ForPlanes(view, null, 0, (block, at, _) =>
        {
            var norm = new NormaliseBackward(rest, block);
            if (streams) InputGradient<Streamed>(norm, view.Pixels, view.Stride, 16, x + at, d + at, to + at);
            else if (view.Lanes(block) == 16) InputGradient<Whole>(norm, view.Pixels, view.Stride, 16, x + at, d + at, to + at);
            else InputGradient<Part>(norm, view.Pixels, view.Stride, view.Lanes(block), x + at, d + at, to + at);
        });
    }

    void ComputeNormSums(Channels view, Normalised y, float* x, float* dy, Tensor sums)
    {
        float* partials = Scratch(0, (long)BackwardSums * view.Partials);
        ForPlanes(view, partials, BackwardSums, (block, at, partial) =>
        {
            var norm = new NormaliseOnLoad<V>(y, block);
            if (view.Lanes(block) == 16) AddGradientSums<Whole>(view, block, norm, x + at, dy + at, partial);
            else AddGradientSums<Part>(view, block, norm, x + at, dy + at, partial);
        });
        for (int i = 0; i < 3; i++)
            for (int c = 0; c < sums.Shape.Cols; c++) Of(sums)[i * sums.Shape.Cols + c] = (float)Total(view, partials + i * 16, BackwardSums, c);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddStatistics<R>(Channels view, int block, float* first, float* x, float* partial) where R : struct, IReach
    {
        int lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, i = 0;
        V k = R.Load<V>(first, lanes), s0 = V.Load(partial), s1 = V.Zero, q0 = V.Load(partial + 16), q1 = V.Zero;
        for (; i + 2 <= pixels; i += 2, x += 2 * stride)
        {
            V a = R.Load<V>(x, lanes) - k, b = R.Load<V>(x + stride, lanes) - k;
            s0 += a;
            V.AddProduct(ref q0, a, a);
            s1 += b;
            V.AddProduct(ref q1, b, b);
        }
        if (i < pixels)
        {
            V last = R.Load<V>(x, lanes) - k;
            s0 += last;
            V.AddProduct(ref q0, last, last);
        }
        V.Store(s0 + s1, partial);
        V.Store(q0 + q1, partial + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void AddGradientSums<R>(Channels view, int block, NormaliseOnLoad<V> norm, float* x, float* dy, float* partial) where R : struct, IReach
    {
        int lanes = view.Lanes(block), pixels = view.Pixels, stride = view.Stride, i = 0;
        var load = norm;
        V h0 = V.Load(partial), h1 = V.Zero, t0 = V.Load(partial + 16), t1 = V.Zero, s0 = V.Load(partial + 32), s1 = V.Zero;
        for (; i + 2 <= pixels; i += 2, x += 2 * stride, dy += 2 * stride)
        {
            load.Apply(R.Load<V>(x, lanes), R.Load<V>(dy, lanes), ref h0, ref t0, ref s0);
            load.Apply(R.Load<V>(x + stride, lanes), R.Load<V>(dy + stride, lanes), ref h1, ref t1, ref s1);
        }
        if (i < pixels) load.Apply(R.Load<V>(x, lanes), R.Load<V>(dy, lanes), ref h0, ref t0, ref s0);
        V.Store(h0 + h1, partial);
        V.Store(t0 + t1, partial + 16);
        V.Store(s0 + s1, partial + 32);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void InputGradient<R>(NormaliseBackward norm, int pixels, int stride, int lanes, float* x, float* dy, float* dx) where R : struct, IReach
    {
        var back = norm;
        for (int i = 0; i < pixels; i++, x += stride, dy += stride, dx += stride) R.Store(back.InputGradient(R.Load<V>(x, lanes), R.Load<V>(dy, lanes)), dx, lanes);
    }

    /// <summary>Of one block of channels: dx = scale·h + b·(x − mean) + c, h = dy·act'.</summary>
    readonly struct NormaliseBackward
    {
        readonly V mean, scale, beta, slope, b, c;

        public NormaliseBackward(UnfinishedNorm rest, int block)
        {
            var y = rest.Y;
            int ch = 16 * block;
            mean = V.Load(Of(y.Mean) + ch);
            scale = V.Load(Of(y.Gamma) + ch) * V.Load(Of(y.Inverse) + ch);
            beta = V.Load(Of(y.Beta) + ch);
            slope = y.Slope is null ? V.Create(1) : V.Load(Of(y.Slope) + ch);
            // In training a share of the sums is taken off; otherwise the statistics are constants.
            V minus = V.Create(rest.Training ? -1f / Count(y.Source.Shape) : 0) * scale;
            b = minus * V.Load(Of(y.Inverse) + ch) * V.Load(Of(rest.Dgamma) + ch);
            c = minus * V.Load(Of(rest.Dbeta) + ch);
        }

        public static NormaliseBackward[] OfBlocks(UnfinishedNorm rest) =>
            [.. Enumerable.Range(0, CpuLayout.Blocks(rest.Y.Source.Shape.Channels)).Select(block => new NormaliseBackward(rest, block))];

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V InputGradient(V x, V dy)
        {
            V offset = x - mean, v = V.Fma(offset, scale, beta);
            return V.Fma(scale, V.IfPositive(v, dy, slope * dy), V.Fma(b, offset, c));
        }
    }
}
