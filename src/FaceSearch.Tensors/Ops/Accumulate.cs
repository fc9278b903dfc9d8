namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// y += x, same shape. How gradients of a tensor with several uses are summed.
    internal abstract void Accumulate(Tensor y, Tensor x);
}

public sealed partial class Meter
{
    internal override void Accumulate(Tensor y, Tensor x) { }
}

public sealed partial class Reference
{
    internal override void Accumulate(Tensor y, Tensor x)
    {
        for (int i = 0; i < Of(x).Length; i++) Of(y)[i] += Of(x)[i];
    }
}

public sealed unsafe partial class Cpu<V>
{
    internal override void Accumulate(Tensor y, Tensor x)
    {
        float* to = Of(y), from = Of(x);
        ForFloats(x.Shape, (start, end) => AddTile(to + start, from + start, to + start, end - start));
    }

    /// Runs over all floats of a tensor, padding included, in tiles of whole vectors.
    void ForFloats(Shape shape, Action<long, long> range)
    {
        long floats = CpuLayout.Floats(shape);
        workers.Run((int)((floats + TileFloats - 1) / TileFloats), (tile, _) => range((long)tile * TileFloats, Math.Min(floats, (tile + 1L) * TileFloats)));
    }
}

public sealed partial class Gpu
{
    internal override void Accumulate(Tensor y, Tensor x) => Pass(new AccumulatePoint(Map(y), Map(x)), GpuLayout.Elements(x.Shape));
}

readonly struct AccumulatePoint(MapView y, MapView x) : IPoint
{
    public void At(long i) => y[i] += x[i];
}
