using System.Runtime.Intrinsics;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Contents of tensors that are timed.</summary>
static unsafe class Values
{
    const int PartFloats = 1 << 26;
    // A prime, so that neither rows nor maps repeat with it.
    const int Period = 65521;

    static readonly Dictionary<(float Scale, ulong Stream), float[]> Periods = [];

    /// <summary>Standard normal numbers.</summary>
    public static float[] Normal(Shape shape, ulong stream)
    {
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)Noise.Normal(1, stream, (ulong)i);
        return values;
    }

    /// <summary>
    /// Uniform numbers in ±scale for a matrix, or a map of full blocks of sixteen channels; written in place, since a copy
    /// would count in the peak of memory that is measured. There the numbers repeat, so that writing takes no longer than memory: a processor
    /// that did something else for a tenth of a second is slow to feed a kernel from memory. On a GPU any shape, and copied: a matrix part by part, as an array ends at 2³¹ elements.
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
        if (!Periods.TryGetValue((scale, stream), out var period)) Periods[(scale, stream)] = period = [.. Enumerable.Range(0, Period).Select(i => scale * (float)(2 * Noise.Uniform(1, stream, (ulong)i) - 1))];
        fixed (float* from = period)
            for (long i = 0; i < tensor.Shape.Count; i += Period) Stream(from, Pointer(tensor) + i, Math.Min(Period, tensor.Shape.Count - i));
        return tensor;
    }

    /// Past the caches: what is written anew before a step, where the peer's inputs stay as they are, would be written back while the step is timed.
    static void Stream(float* from, float* to, long count)
    {
        long i = 0;
        for (; i < count && (nuint)(to + i) % (nuint)Vector256<byte>.Count != 0; i++) to[i] = from[i];
        for (; i + Vector256<float>.Count <= count; i += Vector256<float>.Count) Vector256.StoreAlignedNonTemporal(Vector256.Load(from + i), to + i);
        for (; i < count; i++) to[i] = from[i];
    }

    static float* Pointer(Tensor tensor) => tensor.Device switch
    {
        Cpu<Avx512Lanes> => Cpu<Avx512Lanes>.Of(tensor),
        Cpu<Avx2Lanes> => Cpu<Avx2Lanes>.Of(tensor),
        Cpu<PortableLanes> => Cpu<PortableLanes>.Of(tensor),
        _ => throw new NotSupportedException($"{tensor.Device.Name} has no memory to write in place"),
    };
}
