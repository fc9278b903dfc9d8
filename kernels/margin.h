// The two-scale margin of one row (src/FaceSearch.Tensors/Ops/Margin.cs) in fp32, without libm: there is none on the GPU here.
// f(θ) = cos(M1·θ + M2) − M3, θ = acos c. With k = ⌊(M1·θ + M2)/π⌋ and the rest r, the continuation past π is cos r − 2k − M3
// and its slope by the cosine M1·sin r / sin θ.
#pragma once
#include "numbers.h"

constexpr float Pi = 3.14159265358979f, Log2E = 1.44269504088896f, Ln2 = 0.693147180559945f;

struct Margin { float TrueScale, FalseScale, M1, M2, M3; int StraightThrough; };

// What of a margin is a kernel's argument.
struct MarginScales {
    float TrueScale, FalseScale;
    int StraightThrough;

    DEVICE Margin with(Numbers n) const { return {TrueScale, FalseScale, n.m1(), n.m2(), n.m3(), StraightThrough}; }
};

struct TrueLogit { float Logit, Slope; };

// acos(1 − gap) to 2·10⁻⁸, relative to itself near 0, for gap in [0, 1] (Hastings 1955; Abramowitz and Stegun 4.4.46).
DEVICE float arc_cosine(float gap)
{
    float x = 1 - gap, p = -0.0012624911f;
    constexpr float of[] = {0.0066700901f, -0.0170881256f, 0.0308918810f, -0.0501743046f, 0.0889789874f, -0.2145988016f, 1.5707963050f};
    UNROLL
    for (int i = 0; i < 7; i++) p = p * x + of[i];
    return root(gap) * p;
}

// sin on [−π/2, π/2] by its Taylor series: the first term left out is below 10⁻⁹.
DEVICE float half_sine(float x)
{
    float s = x * x, p = 1.6059044e-10f;
    constexpr float of[] = {-2.5052108e-8f, 2.7557319e-6f, -1.9841270e-4f, 8.3333333e-3f, -0.16666667f};
    UNROLL
    for (int i = 0; i < 5; i++) p = p * s + of[i];
    return x + x * s * p;
}

DEVICE TrueLogit true_logit(Margin margin, float cosine)
{
    // θ stays away from 0 and π as in Margin.LargestCosine: f' grows as 1/sin θ. A float near 1 cannot say 1 − 10⁻⁷, but its distance from 1 can.
    float gap = cosine < 0 ? 1 + cosine : 1 - cosine;
    if (gap < 1e-7f) gap = 1e-7f;
    float near = arc_cosine(gap), angle = margin.M1 * (cosine < 0 ? Pi - near : near) + margin.M2;
    int turns = (int)(angle / Pi);
    if (angle < turns * Pi) turns--;
    float rest = angle - turns * Pi, sine = half_sine(rest < Pi / 2 ? rest : Pi - rest);
    float slope = margin.StraightThrough ? 1 : margin.M1 * sine / root(gap * (2 - gap));
    return {margin.TrueScale * (half_sine(Pi / 2 - rest) - 2 * turns - margin.M3), margin.TrueScale * slope};
}

struct RowLoss { float Loss, Miss; };

// Cross-entropy from the true logit and the log-sum-exp of all others, and 1 − p of the true class, neither a small
// difference of large numbers. log(1 + e) = 2·artanh(e/(2 + e)).
DEVICE RowLoss cross_entropy(float trueLogit, float falseLogSum)
{
    float lead = trueLogit - falseLogSum, size = lead < 0 ? -lead : lead, e = exp2_fast(-size * Log2E), z = e / (2 + e), s = z * z, p = 1.0f / 15;
    constexpr float of[] = {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3, 1};
    UNROLL
    for (int i = 0; i < 7; i++) p = p * s + of[i];
    return {(lead < 0 ? -lead : 0) + 2 * z * p, (lead > 0 ? e : 1) / (1 + e)};
}

// Σ 2^(z − Most) over some logits z (in powers of two); of none: 0 and far below every logit.
struct LogSum {
    float Most, Sum;

    DEVICE void join(LogSum other)
    {
        float now = most(Most, other.Most);
        Sum = Sum * exp2_fast(Most - now) + other.Sum * exp2_fast(other.Most - now);
        Most = now;
    }
};
constexpr float Below = -1e30f;

// 1/‖w‖ of centre c from the sums of its squares over parts of 128 dimensions; 0 for zeros. Without a finite length: NaN, which shows in the loss.
DEVICE float inverse_length(const float* squares, i64 pitch, int parts, i64 c)
{
    float sum = 0;
    for (int p = 0; p < parts; p++) sum += squares[p * pitch + c];
    return sum == 0 ? 0 : sum < as_float(0x7f800000u) ? 1 / root(sum) : as_float(0x7fc00000u);
}
