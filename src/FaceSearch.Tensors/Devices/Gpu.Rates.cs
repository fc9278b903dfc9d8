using System.Diagnostics;
using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    // Larger than a cache, and groups enough for every multiprocessor.
    const int RateFloats = 1 << 25, RateGroups = 2048, RateRounds = 512, Tries = 8;

    // A product large enough to keep tensor cores busy; the emulated ones are slow.
    const int ProductSide = 4096, EmulatedSide = 128;

    /// <summary>GF/s, the roof of every kernel here: fp32 multiply-adds that touch no memory, or in bf16 what a square matrix product reaches.</summary>
    public double Peak() => IsMixed ? ProductRate() : MultiplyAddRate();

    double ProductRate()
    {
        int n = IsSimulated ? EmulatedSide : ProductSide;
        // Random bits: tensor cores run faster on zeros.
        Bf16Rows Packed(ulong stream)
        {
            using var floats = From(Shape.Of(n, n), [.. Enumerable.Range(0, n * n).Select(i => (float)Noise.Uniform(1, stream, (ulong)i) - 0.5f)]);
            return Pack(floats);
        }
        using Bf16Rows a = Packed(0), b = Packed(1);
        using var c = New(Shape.Of(n, n));
        return 1e-9 * 2 * n * n * n / BestSeconds(() => MatMulBf16(a, false, b, true, c, n));
    }

    double MultiplyAddRate()
    {
        using var sink = New(Shape.Of(Threads * RateGroups));
        return 1e-9 * 2 * MultiplyAddChains.Chains * RateRounds * sink.Shape.Count / BestSeconds(() => Launch(new MultiplyAddChains(Of(sink), RateRounds), RateGroups));
    }

    /// <summary>GB/s read and written by copying memory of the GPU.</summary>
    public double CopyRate()
    {
        using Tensor from = New(Shape.Of(RateFloats)), to = New(Shape.Of(RateFloats));
        return 1e-9 * 8 * RateFloats / BestSeconds(() => Pass(new CopyPoint(Of(from), Of(to)), RateFloats));
    }

    double BestSeconds(Action launch)
    {
        double best = double.PositiveInfinity;
        for (int i = 0; i < Tries; i++)
        {
            Synchronize();
            long start = Stopwatch.GetTimestamp();
            launch();
            Synchronize();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }
}

readonly struct CopyPoint(View from, View to) : IPoint
{
    public void At(long i) => to[i] = from[i];
}

/// Chains enough to hide the latency of a multiply-add.
readonly struct MultiplyAddChains(View sink, int rounds) : IKernel
{
    public const int Chains = 8;

    public void Run()
    {
        float x = 0.999f, y = 1e-3f, a = Group.IdxX, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6, h = a + 7;
        for (int i = 0; i < rounds; i++)
        {
            a = GpuMath.MultiplyAdd(a, x, y);
            b = GpuMath.MultiplyAdd(b, x, y);
            c = GpuMath.MultiplyAdd(c, x, y);
            d = GpuMath.MultiplyAdd(d, x, y);
            e = GpuMath.MultiplyAdd(e, x, y);
            f = GpuMath.MultiplyAdd(f, x, y);
            g = GpuMath.MultiplyAdd(g, x, y);
            h = GpuMath.MultiplyAdd(h, x, y);
        }
        sink[(long)Grid.IdxX * Gpu.Threads + Group.IdxX] = a + b + c + d + e + f + g + h;
    }
}
