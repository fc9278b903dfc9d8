using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// How a kernel reads a map or matrix: as it lies, or as act(γ·inverse·(x − mean) + β) where it is deferred. The mean is taken
/// off first, as on the CPU: folded into β it would cost the digits that a mean far above the deviation has. Which of the
/// cases holds is the same for all threads, so asking costs next to nothing and saves a second copy of every kernel.
/// </summary>
readonly struct MapLoad
{
    readonly MapView values;
    readonly View mean, inverse, gamma, beta, slope;
    readonly int isNormalised, hasSlope;

    public MapLoad(MapView values)
    {
        this.values = values;
        // A kernel's views must all be views, read or not.
        mean = inverse = gamma = beta = slope = values.Memory;
        isNormalised = hasSlope = 0;
    }

    public MapLoad(Normalised x)
    {
        (values, mean, inverse, gamma, beta) = (Gpu.Map(x.Source), Gpu.Of(x.Mean), Gpu.Of(x.Inverse), Gpu.Of(x.Gamma), Gpu.Of(x.Beta));
        slope = x.Slope is null ? beta : Gpu.Of(x.Slope);
        (isNormalised, hasSlope) = (1, x.Slope is null ? 0 : 1);
    }

    /// The value that lies at i, of that channel; not for padding lanes.
    public float At(long i, int channel)
    {
        float x = values[i];
        if (isNormalised == 0) return x;
        float v = GpuMath.MultiplyAdd(x - mean[channel], gamma[channel] * inverse[channel], beta[channel]);
        return hasSlope == 0 || v > 0 ? v : slope[channel] * v;
    }
}

public sealed partial class Gpu
{
    static MapLoad Load(Tensor x) => x.Deferred is { } deferred ? new(deferred) : new(Map(x));

    internal override void Normalise(Normalised x, Tensor y) => Pass(new NormaliseCell(new(x), Map(y), new(y.Shape)), new GpuRows(y.Shape));
}

readonly struct NormaliseCell(MapLoad x, MapView y, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = column < rows.Columns ? x.At(i, column) : 0;
    }
}
