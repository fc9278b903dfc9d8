using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Normalize(Tensor x, Tensor y, Tensor norms) =>
        Launch(new NormalizeRow(Of(x), Of(y), Of(norms), x.Shape.Cols), x.Shape.Rows);

    internal override void NormalizeBackward(Tensor y, Tensor norms, Tensor dy, Tensor dx) =>
        Launch(new NormalizeBackwardRow(Of(y), Of(norms), Of(dy), Of(dx), y.Shape.Cols), y.Shape.Rows);
}

/// One group a row.
readonly struct NormalizeRow(View x, View y, View norms, int columns) : IKernel
{
    public void Run()
    {
        long row = (long)Grid.IdxX * columns;
        float squares = 0;
        for (int c = Group.IdxX; c < columns; c += Gpu.Threads) squares = GpuMath.MultiplyAdd(x[row + c], x[row + c], squares);
        float norm = MathF.Sqrt(GroupSum.Of(squares)), scale = norm > 0 ? 1 / norm : 0;
        if (Group.IdxX == 0) norms[Grid.IdxX] = norm;
        for (int c = Group.IdxX; c < columns; c += Gpu.Threads) y[row + c] = x[row + c] * scale;
    }
}

readonly struct NormalizeBackwardRow(View y, View norms, View dy, View dx, int columns) : IKernel
{
    public void Run()
    {
        long row = (long)Grid.IdxX * columns;
        float part = 0;
        for (int c = Group.IdxX; c < columns; c += Gpu.Threads) part = GpuMath.MultiplyAdd(y[row + c], dy[row + c], part);
        float dot = GroupSum.Of(part), norm = norms[Grid.IdxX], scale = norm > 0 ? 1 / norm : 0;
        for (int c = Group.IdxX; c < columns; c += Gpu.Threads) dx[row + c] = GpuMath.MultiplyAdd(-dot, y[row + c], dy[row + c]) * scale;
    }
}
