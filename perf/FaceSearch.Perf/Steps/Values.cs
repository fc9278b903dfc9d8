using System.Runtime.Intrinsics;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Contents of tensors that are timed.</summary>
static unsafe class Values
{
    const int PartFloats = 1 << 26;

    /// <summary>Standard normal numbers.</summary>
    public static float[] Normal(Shape shape, ulong stream)
    {
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)Noise.Normal(1, stream, (ulong)i);
        return values;
    }

    /// <summary>
    /// Uniform numbers in ±scale for a matrix, or a map of full blocks of sixteen channels; written in place, since a copy
    /// would count in the peak of memory that is measured. On a GPU any shape, and copied: a matrix part by part, as an array ends at 2³¹ elements.
    /// </summary>
    public static Tensor Fill(this Tensor tensor, float scale, ulong stream)
    {
        if (tensor.Device.IsMeter) return tensor;
        if (tensor.Device is Gpu gpu)
        {
            if (scale == 0)
            {
                gpu.Fill(tensor, 0);
                return tensor;
            }
            var values = new float[tensor.Shape.IsMap ? tensor.Shape.Count : Math.Min(tensor.Shape.Count, PartFloats)];
            for (long first = 0; first < tensor.Shape.Count; first += values.Length)
            {
                int count = (int)Math.Min(values.Length, tensor.Shape.Count - first);
                Parallel.For(0, count, i => values[i] = scale * (float)(2 * Noise.Uniform(1, stream, (ulong)(first + i)) - 1));
                if (tensor.Shape.IsMap) gpu.Write(tensor, values);
                else gpu.Write(tensor, first, values.AsSpan(0, count));
                // The memory that it travels through serves the next part.
                gpu.Synchronize();
            }
            return tensor;
        }
        // Past the caches: what is written anew before a step, where the peer's inputs stay as they are, would be written back while the step is timed.
        float* to = Pointer(tensor);
        long whole = tensor.Shape.Count & ~3;
        for (long i = 0; i < whole; i += 4) Vector128.StoreAlignedNonTemporal(Vector128.Create(At(i), At(i + 1), At(i + 2), At(i + 3)), to + i);
        for (long i = whole; i < tensor.Shape.Count; i++) to[i] = At(i);
        return tensor;

        float At(long i) => scale * (float)(2 * Noise.Uniform(1, stream, (ulong)i) - 1);
    }

    static float* Pointer(Tensor tensor) => tensor.Device switch
    {
        Cpu<Avx512Lanes> => Cpu<Avx512Lanes>.Of(tensor),
        Cpu<Avx2Lanes> => Cpu<Avx2Lanes>.Of(tensor),
        Cpu<PortableLanes> => Cpu<PortableLanes>.Of(tensor),
        _ => throw new NotSupportedException($"{tensor.Device.Name} has no memory to write in place"),
    };
}
