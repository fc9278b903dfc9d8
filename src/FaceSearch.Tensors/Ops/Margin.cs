namespace FaceSearch.Tensors;

/// <summary>The functions of a row's own logit, in double: few enough to be computed exactly everywhere.</summary>
interface IAngles
{
    static abstract double Acos(double c);
    static abstract double Cos(double x);
    static abstract double Sin(double x);
    static abstract double Exp(double x);
    static abstract double Log(double x);
}

/// <summary>
/// The two-scale margin of the comprehensive face search (ArcFaceRescale): the logit of the true class is
/// TrueScale·f(θ), that of every other class FalseScale·cos θ, with f(θ) = cos(M1·θ + M2) − M3.
/// SphereFace, ArcFace and CosFace are M1, M2 and M3 alone with equal scales.
/// Where M1·θ + M2 leaves [0, π], f goes on as (−1)^k·cos(M1·θ + M2) − 2k − M3, k = ⌊(M1·θ + M2)/π⌋, which is
/// continuous and falls with θ for every margin. <paramref name="StraightThrough"/> takes f' = 1 in the backward pass:
/// what implementations do that apply the margin outside the gradient.
/// </summary>
public readonly record struct Margin(float TrueScale, float FalseScale, float M1, float M2, float M3, bool StraightThrough = false)
{
    /// f' grows as 1/sin θ: θ is held 4.5e-4 from 0 and π (the last angles fp32 cosines tell apart), so |f'| ≤ 2200·M1.
    const double LargestCosine = 1 - 1e-7;

    /// Logit of the true class and its derivative by the cosine.
    internal (double Logit, double Slope) True(double cosine) => True<HostAngles>(cosine);

    internal (double Logit, double Slope) True<A>(double cosine) where A : struct, IAngles
    {
        // Comparisons that a NaN survives.
        double theta = A.Acos(cosine > LargestCosine ? LargestCosine : cosine < -LargestCosine ? -LargestCosine : cosine), angle = M1 * theta + M2;
        int turns = (int)(angle / Math.PI);
        if (turns * Math.PI > angle) turns--;
        double sign = turns % 2 == 0 ? 1 : -1, slope = StraightThrough ? 1 : sign * M1 * A.Sin(angle) / A.Sin(theta);
        return (TrueScale * (sign * A.Cos(angle) - 2 * turns - M3), TrueScale * slope);
    }

    /// Cross-entropy of a row from its true logit and the log-sum-exp of all others, and 1 − p of the true class:
    /// neither is a small difference of large numbers when the true class dominates.
    internal static (double Loss, double Miss) CrossEntropy(double trueLogit, double falseLogSum) => CrossEntropy<HostAngles>(trueLogit, falseLogSum);

    internal static (double Loss, double Miss) CrossEntropy<A>(double trueLogit, double falseLogSum) where A : struct, IAngles
    {
        double lead = trueLogit - falseLogSum, small = A.Exp(lead > 0 ? -lead : lead), one = 1 + small;
        // log(1 + small) to full precision (Kahan).
        double log = one == 1 ? small : A.Log(one) * small / (one - 1);
        return ((lead > 0 ? 0 : -lead) + log, (lead > 0 ? small : 1) / one);
    }
}

readonly struct HostAngles : IAngles
{
    public static double Acos(double c) => Math.Acos(c);
    public static double Cos(double x) => Math.Cos(x);
    public static double Sin(double x) => Math.Sin(x);
    public static double Exp(double x) => Math.Exp(x);
    public static double Log(double x) => Math.Log(x);
}
