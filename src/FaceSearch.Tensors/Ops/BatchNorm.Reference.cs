namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void BatchNorm(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVariance, BatchNormMode mode, Tensor mean, Tensor inverse, Tensor y)
    {
        int channels = x.Shape.Channels;
        long m = x.Shape.Count / channels;
        var variance = new double[channels];
        if (mode.Training)
        {
            Of(mean).Clear();
            ForChannels(x.Shape, (c, i) => Of(mean)[c] += Of(x)[i] / m);
            ForChannels(x.Shape, (c, i) => variance[c] += (Of(x)[i] - Of(mean)[c]) * (Of(x)[i] - Of(mean)[c]) / m);
            for (int c = 0; c < channels; c++)
            {
                Of(runningMean)[c] += mode.Momentum * (Of(mean)[c] - Of(runningMean)[c]);
                Of(runningVariance)[c] += mode.Momentum * (variance[c] * m / (m - 1) - Of(runningVariance)[c]);
            }
        }
        else
        {
            Of(runningMean).CopyTo(Of(mean));
            Of(runningVariance).CopyTo(variance);
        }
        for (int c = 0; c < channels; c++) Of(inverse)[c] = 1 / Math.Sqrt(variance[c] + mode.Epsilon);
        ForChannels(x.Shape, (c, i) => Of(y)[i] = Of(gamma)[c] * (Of(x)[i] - Of(mean)[c]) * Of(inverse)[c] + Of(beta)[c]);
    }

    internal override void BatchNormBackward(Tensor x, Tensor gamma, Tensor mean, Tensor inverse, bool training, Tensor dy, Tensor? dx, Tensor dgamma, Tensor dbeta)
    {
        double m = x.Shape.Count / x.Shape.Channels;
        double Normalised(int c, int i) => (Of(x)[i] - Of(mean)[c]) * Of(inverse)[c];
        Of(dgamma).Clear();
        Of(dbeta).Clear();
        ForChannels(x.Shape, (c, i) =>
        {
            Of(dgamma)[c] += Of(dy)[i] * Normalised(c, i);
            Of(dbeta)[c] += Of(dy)[i];
        });
        if (dx is null) return;
        ForChannels(x.Shape, (c, i) =>
        {
            double common = training ? (Of(dbeta)[c] + Normalised(c, i) * Of(dgamma)[c]) / m : 0;
            Of(dx)[i] = Of(gamma)[c] * Of(inverse)[c] * (Of(dy)[i] - common);
        });
    }
}
