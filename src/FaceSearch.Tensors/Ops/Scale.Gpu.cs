using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    // Groups of one sum, whatever its length.
    const int SquareGroups = 256;

    public override void Scale(Tensor x, float factor) => Pass(new ScalePoint(Of(x), factor), GpuLayout.Floats(x.Shape));

    public override double SumOfSquares(Tensor x) => SumsOfSquares([x])[0];

    /// One wait for all tensors.
    public override double[] SumsOfSquares(IReadOnlyList<Tensor> tensors)
    {
        // Doubles, each in the place of two floats.
        using Tensor partials = New(Shape.Of(2 * SquareGroups)), sums = New(Shape.Of(2 * Math.Max(1, tensors.Count)));
        var (parts, totals) = (Of(partials).Cast<double>(), Of(sums).Cast<double>());
        for (int i = 0; i < tensors.Count; i++)
        {
            long count = GpuLayout.Floats(tensors[i].Shape);
            int groups = (int)Math.Clamp(count / Threads, 1, SquareGroups);
            Launch(new SquareParts(Of(tensors[i]), count, parts), groups);
            Launch(new JoinSquares(parts, groups, totals, i), 1);
        }
        var values = new double[totals.Length];
        Download(totals, values);
        return values[..tensors.Count];
    }
}

readonly struct ScalePoint(View x, float factor) : IPoint
{
    public void At(long i) => x[i] *= factor;
}

readonly struct SquareParts(View x, long count, ArrayView<double> parts) : IKernel
{
    public void Run()
    {
        double sum = 0;
        for (long i = (long)Grid.IdxX * Gpu.Threads + Group.IdxX; i < count; i += (long)Grid.DimX * Gpu.Threads) sum += (double)x[i] * x[i];
        sum = GroupSum.Of(sum);
        if (Group.IdxX == 0) parts[Grid.IdxX] = sum;
    }
}

readonly struct JoinSquares(ArrayView<double> parts, int count, ArrayView<double> totals, int index) : IKernel
{
    public void Run()
    {
        double sum = GroupSum.Of(Group.IdxX < count ? parts[Group.IdxX] : 0);
        if (Group.IdxX == 0) totals[index] = sum;
    }
}
