using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    // Most groups of one sum: as many as the threads that join their parts.
    const int SquareGroups = Threads;

    public override void Scale(Tensor x, float factor) => Pass(new ScalePoint(Map(x), factor), GpuLayout.Elements(x.Shape));

    public override double SumOfSquares(Tensor x) => SumsOfSquares([x])[0];

    /// One wait for all tensors.
    public override double[] SumsOfSquares(IReadOnlyList<Tensor> tensors)
    {
        if (tensors.Count == 0) return [];
        // Doubles, each in the place of two floats.
        using var sums = New(Shape.Of(tensors.Count, 2));
        SumSquares(tensors, Of(sums).Cast<double>());
        var values = new double[tensors.Count];
        Download(Of(sums).Cast<double>(), values);
        return values;
    }

    void SumSquares(IReadOnlyList<Tensor> tensors, ArrayView<double> sums)
    {
        // Zeros where a tensor is too small for all groups.
        using var partials = New(Shape.Of(tensors.Count, 2 * SquareGroups));
        Clear(partials);
        for (int i = 0; i < tensors.Count; i++)
        {
            long count = GpuLayout.Elements(tensors[i].Shape);
            int groups = (int)Math.Clamp(count / Threads, 1, SquareGroups);
            Launch(new SquareParts(Map(tensors[i]), count, Of(partials).SubView(2L * SquareGroups * i, 2 * SquareGroups).Cast<double>()), groups);
        }
        Launch(new JoinSquares(Of(partials).Cast<double>(), sums), tensors.Count);
    }
}

readonly struct ScalePoint(MapView x, float factor) : IPoint
{
    public void At(long i) => x[i] *= factor;
}

readonly struct SquareParts(MapView x, long count, ArrayView<double> parts) : IKernel
{
    public void Run()
    {
        double sum = 0;
        for (long i = (long)Grid.IdxX * Gpu.Threads + Group.IdxX; i < count; i += (long)Grid.DimX * Gpu.Threads) sum += (double)x[i] * x[i];
        sum = GroupSum.Of(sum);
        if (Group.IdxX == 0) parts[Grid.IdxX] = sum;
    }
}

/// One group a tensor.
readonly struct JoinSquares(ArrayView<double> parts, ArrayView<double> totals) : IKernel
{
    public void Run()
    {
        double sum = GroupSum.Of(parts[Grid.IdxX * Gpu.Threads + Group.IdxX]);
        if (Group.IdxX == 0) totals[Grid.IdxX] = sum;
    }
}
