using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule)
    {
        using var numbers = NumbersOf(rule.Exchange, new() { Rate = (float)rule.Step, Keep = (float)rule.Keep, Root = (float)rule.RootCorrection });
        Pass(new AdamWPoint(Of(parameter), Of(gradient), Of(first), Of(second), Of(numbers), (float)(1 - rule.Beta1), (float)(1 - rule.Beta2), rule.Epsilon, new(gradient, gradient.OfRows)), GpuLayout.Elements(gradient.Shape));
    }
}

readonly struct AdamWPoint(View parameter, View gradient, View first, View second, View numbers, float rest1, float rest2, double epsilon, GpuRowIndex rows) : IPoint
{
    public void At(long n)
    {
        float factor = numbers[GpuNumbers.Factor], keep = numbers[GpuNumbers.Keep], step = numbers[GpuNumbers.Rate], root = numbers[GpuNumbers.Root];
        if (factor < 0) return;
        long i = rows.At(n);
        float g = factor * gradient[n], m = first[i], v = second[i];
        first[i] = m = GpuMath.MultiplyAdd(rest1, g - m, m);
        second[i] = v = GpuMath.MultiplyAdd(rest2, GpuMath.MultiplyAdd(g, g, -v), v);
        parameter[i] = keep * parameter[i] - step * (m / GpuMath.MultiplyAdd(root, MathF.Sqrt(v), (float)epsilon));
    }
}
