using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void AdamWStep(Tensor parameter, Tensor gradient, Tensor first, Tensor second, AdamWRule rule) =>
        Pass(new AdamWPoint(Of(parameter), Of(gradient), Of(first), Of(second), (float)rule.Keep, (float)(1 - rule.Beta1), (float)(1 - rule.Beta2),
            (float)rule.Epsilon, (float)rule.Step, (float)rule.RootCorrection), GpuLayout.Floats(parameter.Shape));
}

readonly struct AdamWPoint(View parameter, View gradient, View first, View second, float keep, float rest1, float rest2, float epsilon, float step, float root) : IPoint
{
    public void At(long i)
    {
        float g = gradient[i], m = first[i], v = second[i];
        first[i] = m = GpuMath.MultiplyAdd(rest1, g - m, m);
        second[i] = v = GpuMath.MultiplyAdd(rest2, GpuMath.MultiplyAdd(g, g, -v), v);
        parameter[i] = keep * parameter[i] - step * (m / GpuMath.MultiplyAdd(root, MathF.Sqrt(v), epsilon));
    }
}
