using System.Globalization;
using MathNet.Numerics.Distributions;
using MathNet.Numerics.Statistics;

namespace FaceSearch.Search;

/// <summary>
/// Two designs trained with several seeds. Paired by seed (Student's t on the differences) where at least
/// three seeds are common to both, otherwise Welch's t of unequal variances (1947); two-sided.
/// </summary>
/// <param name="Difference">Mean of the first minus mean of the second.</param>
/// <param name="HalfWidth">Half of the 95 % confidence interval of the difference; NaN where none can be had.</param>
/// <param name="P">Two-sided p-value; NaN where none can be had.</param>
/// <param name="Verdict">In words.</param>
public sealed record SeedComparison(double Difference, double HalfWidth, double P, string Verdict)
{
    const int LeastSeeds = 3;

    /// <summary>Compares figures by seed.</summary>
    public static SeedComparison Of(IReadOnlyDictionary<string, double> first, IReadOnlyDictionary<string, double> second)
    {
        string[] common = [.. first.Keys.Where(second.ContainsKey).Order(StringComparer.Ordinal)];
        if (common.Length >= LeastSeeds)
        {
            double[] differences = [.. common.Select(seed => first[seed] - second[seed])];
            double error = differences.StandardDeviation() / Math.Sqrt(differences.Length);
            return Judge(differences.Mean(), error, differences.Length - 1, $"paired t-test over {differences.Length} seeds");
        }
        double[] a = [.. first.Values], b = [.. second.Values];
        double difference = a.Length > 0 && b.Length > 0 ? a.Average() - b.Average() : double.NaN;
        if (Math.Min(a.Length, b.Length) < LeastSeeds)
            return new(difference, double.NaN, double.NaN, "not significant: too few seeds");
        double va = a.Variance() / a.Length, vb = b.Variance() / b.Length;
        double freedom = (va + vb) * (va + vb) / (va * va / (a.Length - 1) + vb * vb / (b.Length - 1));
        return Judge(difference, Math.Sqrt(va + vb), freedom, "Welch's t-test");
    }

    static SeedComparison Judge(double difference, double error, double freedom, string test)
    {
        if (!(error > 0)) return new(difference, double.NaN, double.NaN, $"not tested: no spread between the seeds ({test})");
        double p = 2 * StudentT.CDF(0, 1, freedom, -Math.Abs(difference) / error);
        string words = p < 0.05 ? "significant" : "not significant";
        string figure = p < 0.001 ? "p < 0.001" : string.Create(CultureInfo.InvariantCulture, $"p = {p:0.000}");
        return new(difference, error * StudentT.InvCDF(0, 1, freedom, 0.975), p, $"{words} ({test}, {figure})");
    }
}
