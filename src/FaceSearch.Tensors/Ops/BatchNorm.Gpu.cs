using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void BatchStatistics(Tensor x, Tensor? moments, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse)
    {
        int channels = x.Shape.Channels;
        if (!mode.Training)
        {
            Pass(new RunningStatistics(Of(runningMean), Of(runningVariance), Of(mean), Of(inverse), mode.Epsilon), channels);
            return;
        }
        using var own = moments is null ? New(Shape.Of(2, channels)) : null;
        if (own is not null) WriteMoments(x, own);
        double m = x.Shape.Count / channels;
        Pass(new BatchStatistics(Of(moments ?? own!), Of(runningMean), Of(runningVariance), channels, mode.Momentum, (float)(m / (m - 1)), mode.Epsilon, Of(mean), Of(inverse)), channels);
    }

    /// Mean and biased variance of each channel: [2, channels].
    void WriteMoments(Tensor x, Tensor moments)
    {
        var rows = new GpuRows(x.Shape);
        SumColumns(new Moments(Map(x), rows, Of(moments)), rows.Rows, rows.Columns);
    }

    internal override void BatchNormBackward(Normalised y, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta, Tensor? dslope)
    {
        var rows = new GpuRows(dy.Shape);
        var (norm, d) = (new NormGradient(y), Map(dy));
        SumColumns(new NormGradientSums(norm, d, rows, Of(dgamma), Of(dbeta), Of(dslope ?? dbeta)), rows.Rows, rows.Columns);
        if (dx is not null) Pass(new NormGradientCell(norm, d, Map(dx), rows, Of(dgamma), Of(dbeta), training ? 1.0 / rows.Rows : 0), rows);
    }
}

/// <summary>Sums of x − k and (x − k)², k the channel's first value: Σx² − (Σx)²/m fails where the mean is far above the deviation.</summary>
readonly struct Moments(MapView x, GpuRows rows, View moments) : IColumnSums
{
    public Sums At(int row, int column, int part)
    {
        float d = x[rows.At(row, column)] - x[column];
        return new(d, d * d, 0);
    }

    public void Finish(int column, int part, Sums total)
    {
        double offset = total.A / (double)rows.Rows, variance = total.B / (double)rows.Rows - offset * offset;
        moments[column] = (float)(x[column] + offset);
        // Not a maximum: that would drop a NaN.
        moments[rows.Columns + column] = variance < 0 ? 0 : (float)variance;
    }
}

readonly struct BatchStatistics(View moments, View runningMean, View runningVariance, int channels, float momentum, float unbiased, float epsilon, View mean, View inverse) : IPoint
{
    public void At(long c)
    {
        float m = moments[c], v = moments[channels + c];
        mean[c] = m;
        inverse[c] = 1 / MathF.Sqrt(v + epsilon);
        runningMean[c] += momentum * (m - runningMean[c]);
        runningVariance[c] += momentum * (v * unbiased - runningVariance[c]);
    }
}

readonly struct RunningStatistics(View runningMean, View runningVariance, View mean, View inverse, float epsilon) : IPoint
{
    public void At(long c)
    {
        mean[c] = runningMean[c];
        inverse[c] = 1 / MathF.Sqrt(runningVariance[c] + epsilon);
    }
}

/// <summary>x̂ and the gradient before the slope, of one element.</summary>
readonly struct NormGradient
{
    readonly MapView x;
    readonly View mean, inverse, gamma, beta, slope;
    readonly long hasSlope;

    public NormGradient(Normalised y)
    {
        (x, mean, inverse, gamma, beta) = (Gpu.Map(y.Source), Gpu.Of(y.Mean), Gpu.Of(y.Inverse), Gpu.Of(y.Gamma), Gpu.Of(y.Beta));
        slope = y.Slope is null ? beta : Gpu.Of(y.Slope);
        hasSlope = y.Slope is null ? 0 : 1;
    }

    public bool HasSlope => hasSlope != 0;
    public float X(long i) => x[i];
    public float Standard(float x, int c) => (x - mean[c]) * inverse[c];
    public float Scale(int c) => gamma[c] * inverse[c];
    /// What the slope is applied to: as the forward pass computed it, so that both see the same sign.
    public float BeforeSlope(float x, int c) => GpuMath.MultiplyAdd(x - mean[c], gamma[c] * inverse[c], beta[c]);
    public float Gradient(float dy, float before, int c) => hasSlope == 0 || before > 0 ? dy : slope[c] * dy;
}

readonly struct NormGradientSums(NormGradient norm, MapView dy, GpuRows rows, View dgamma, View dbeta, View dslope) : IColumnSums
{
    public Sums At(int row, int column, int part)
    {
        long i = rows.At(row, column);
        float x = norm.X(i), d = dy[i], before = norm.BeforeSlope(x, column), h = norm.Gradient(d, before, column);
        return new(h * norm.Standard(x, column), h, before > 0 ? 0 : d * before);
    }

    public void Finish(int column, int part, Sums total)
    {
        dgamma[column] = total.A;
        dbeta[column] = total.B;
        if (norm.HasSlope) dslope[column] = total.C;
    }
}

/// Share is 1/m in training; 0 where the statistics count as constants.
readonly struct NormGradientCell(NormGradient norm, MapView dy, MapView dx, GpuRows rows, View dgamma, View dbeta, double share) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        if (column >= rows.Columns)
        {
            dx[i] = 0;
            return;
        }
        float x = norm.X(i), h = norm.Gradient(dy[i], norm.BeforeSlope(x, column), column);
        float common = (float)share * GpuMath.MultiplyAdd(norm.Standard(x, column), dgamma[column], dbeta[column]);
        dx[i] = norm.Scale(column) * (h - common);
    }
}
