using MathNet.Numerics.LinearAlgebra;

namespace FaceSearch.Recognition;

/// <summary>
/// Within-class covariance normalisation (Hatch, Kajarekar, Stolcke 2006): directions in which the images of one person
/// differ much (pose, light) count less, so that cosines tell people apart better.
/// </summary>
static class Whitening
{
    // Share of a round covariance mixed in: few images leave many directions unmeasured.
    const double Shrinkage = 0.1;

    /// <summary>
    /// Embeddings [n, d] times L⁻¹, of length 1 again, where L·Lᵀ is the covariance of the images in <paramref name="rows"/>
    /// [identities] about the mean of their identity. O(n·d²).
    /// </summary>
    public static float[] Apply(float[] embeddings, int d, int[][] rows)
    {
        var lower = Matrix<double>.Build.DenseOfArray(Covariance(embeddings, d, rows)).Cholesky().Factor.ToArray();
        var white = new float[embeddings.Length];
        Parallel.For(0, embeddings.Length / d, i =>
        {
            var x = new double[d];
            double square = 0;
            for (int p = 0; p < d; p++)
            {
                double rest = embeddings[(long)i * d + p];
                for (int q = 0; q < p; q++) rest -= lower[p, q] * x[q];
                x[p] = rest / lower[p, p];
                square += x[p] * x[p];
            }
            double scale = square > 0 ? 1 / Math.Sqrt(square) : 0;
            for (int p = 0; p < d; p++) white[(long)i * d + p] = (float)(x[p] * scale);
        });
        return white;
    }

    /// Positive definite: the round part is never zero.
    static double[,] Covariance(float[] embeddings, int d, int[][] rows)
    {
        var sums = new double[d, d];
        long images = rows.Sum(r => (long)r.Length);
        var differences = Array.ConvertAll(rows, r => Differences(embeddings, d, r));
        // Each row of the matrix is one thread's: sums run over the images in one order.
        Parallel.For(0, d, p =>
        {
            foreach (var identity in differences)
                foreach (var v in identity)
                    for (int q = 0; q <= p; q++) sums[p, q] += v[p] * v[q];
        });
        double trace = 0;
        for (int p = 0; p < d; p++) trace += sums[p, p];
        double round = trace > 0 ? trace / d : 1;
        for (int p = 0; p < d; p++)
            for (int q = 0; q <= p; q++) sums[p, q] = sums[q, p] = ((1 - Shrinkage) * sums[p, q] + (p == q ? Shrinkage * round : 0)) / Math.Max(1, images);
        return sums;
    }

    static double[][] Differences(float[] embeddings, int d, int[] rows)
    {
        var mean = new double[d];
        foreach (int i in rows)
            for (int j = 0; j < d; j++) mean[j] += embeddings[(long)i * d + j] / (double)rows.Length;
        return Array.ConvertAll(rows, i =>
        {
            var v = new double[d];
            for (int j = 0; j < d; j++) v[j] = embeddings[(long)i * d + j] - mean[j];
            return v;
        });
    }
}
