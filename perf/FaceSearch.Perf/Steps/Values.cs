using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Contents of tensors that are timed.</summary>
static unsafe class Values
{
    /// <summary>Standard normal numbers.</summary>
    public static float[] Normal(Shape shape, ulong stream)
    {
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)Noise.Normal(1, stream, (ulong)i);
        return values;
    }

    /// <summary>A free-standing matrix of uniform numbers in ±scale, written in place: a copy would be the peak of what is measured.</summary>
    public static Tensor Matrix(Device device, Shape shape, float scale, ulong stream)
    {
        var tensor = device.New(shape);
        float* to = Pointer(tensor);
        for (long i = 0; i < shape.Count; i++) to[i] = scale * (float)(2 * Noise.Uniform(1, stream, (ulong)i) - 1);
        return tensor;
    }

    static float* Pointer(Tensor tensor) => tensor.Device switch
    {
        Cpu<Avx512Lanes> => Cpu<Avx512Lanes>.Of(tensor),
        Cpu<Avx2Lanes> => Cpu<Avx2Lanes>.Of(tensor),
        Cpu<PortableLanes> => Cpu<PortableLanes>.Of(tensor),
        _ => throw new NotSupportedException($"{tensor.Device.Name} has no memory to write in place"),
    };
}
