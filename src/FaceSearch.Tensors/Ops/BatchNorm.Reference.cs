namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void BatchStatistics(Tensor x, Tensor? moments, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse)
    {
        var variance = Of(runningVariance).ToArray();
        if (mode.Training)
        {
            WriteMoments(x, Of(mean), variance);
            double m = x.Shape.Count / x.Shape.Channels;
            for (int c = 0; c < variance.Length; c++)
            {
                Of(runningMean)[c] += mode.Momentum * (Of(mean)[c] - Of(runningMean)[c]);
                Of(runningVariance)[c] += mode.Momentum * (variance[c] * m / (m - 1) - Of(runningVariance)[c]);
            }
        }
        else Of(runningMean).CopyTo(Of(mean));
        for (int c = 0; c < variance.Length; c++) Of(inverse)[c] = 1 / Math.Sqrt(variance[c] + mode.Epsilon);
    }

    /// Mean and biased variance of each channel.
    static void WriteMoments(Tensor x, Span<double> mean, Span<double> variance)
    {
        long m = x.Shape.Count / x.Shape.Channels;
        double[] means = new double[x.Shape.Channels], squares = new double[x.Shape.Channels];
        ForChannels(x.Shape, (c, i) => means[c] += Of(x)[i] / m);
        ForChannels(x.Shape, (c, i) => squares[c] += (Of(x)[i] - means[c]) * (Of(x)[i] - means[c]) / m);
        means.CopyTo(mean);
        squares.CopyTo(variance);
    }

    internal override void BatchNormBackward(Normalised y, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta, Tensor? dslope)
    {
        var x = y.Source;
        double m = x.Shape.Count / x.Shape.Channels;
        double Standard(int c, int i) => (Of(x)[i] - Of(y.Mean)[c]) * Of(y.Inverse)[c];
        double BeforeSlope(int c, int i) => Of(y.Gamma)[c] * Standard(c, i) + Of(y.Beta)[c];
        double Gradient(int c, int i) => Of(dy)[i] * (y.Slope is null || BeforeSlope(c, i) > 0 ? 1 : Of(y.Slope)[c]);
        Of(dgamma).Clear();
        Of(dbeta).Clear();
        if (dslope is not null) Of(dslope).Clear();
        ForChannels(x.Shape, (c, i) =>
        {
            Of(dgamma)[c] += Gradient(c, i) * Standard(c, i);
            Of(dbeta)[c] += Gradient(c, i);
            if (dslope is not null && !(BeforeSlope(c, i) > 0)) Of(dslope)[c] += Of(dy)[i] * BeforeSlope(c, i);
        });
        if (dx is null) return;
        ForChannels(x.Shape, (c, i) =>
        {
            double common = training ? (Of(dbeta)[c] + Standard(c, i) * Of(dgamma)[c]) / m : 0;
            Of(dx)[i] = Of(y.Gamma)[c] * Of(y.Inverse)[c] * (Gradient(c, i) - common);
        });
    }
}
