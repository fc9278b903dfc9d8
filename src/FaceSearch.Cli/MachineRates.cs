using System.Diagnostics;
using System.Runtime.CompilerServices;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>Quick measurements of one thread of this machine, best of a few tries, a second in all.</summary>
static unsafe class MachineRates
{
    /// <summary>GF/s of multiply-adds that touch no memory: the roof of every kernel.</summary>
    public static double Peak(string instructionSet) =>
        instructionSet == Avx512Lanes.Name ? Peak<Avx512Lanes>() : instructionSet == Avx2Lanes.Name ? Peak<Avx2Lanes>() : Peak<PortableLanes>();

    /// <summary>GB/s read and written by copying memory far larger than the caches.</summary>
    public static double Copy()
    {
        var from = new byte[128 << 20];
        var to = GC.AllocateUninitializedArray<byte>(from.Length);
        from.AsSpan().Fill(1);
        to.AsSpan().Fill(1);
        return 2e-9 * from.Length / BestSeconds(() => from.AsSpan().CopyTo(to));
    }

    /// <summary>GF/s of a matrix product of 512 × 512 × 512.</summary>
    public static double Multiply(Device device)
    {
        var square = Shape.Of(512, 512);
        using var weight = device.From(square, Ramp(512 * 512));
        return Rate(device, tape => tape.Input(square, Ramp(512 * 512)), x => x.Linear(weight));
    }

    /// <summary>GF/s of a 3×3 convolution, 64 → 64 channels, 28×28 pixels, 16 images.</summary>
    public static double Convolution(Device device)
    {
        using var weight = device.From(Shape.Of(64, 64, 3, 3), Ramp(64 * 64 * 9));
        return Rate(device, tape => tape.Input(Shape.Map(16, 64, 28, 28), Ramp(16 * 64 * 28 * 28)), x => x.Conv2d(weight, padding: 1));
    }

    static double Rate(Device device, Func<Tape, Tensor> input, Func<Tensor, Tensor> op)
    {
        using var tape = new Tape(device, record: false);
        var x = input(tape);
        op(x).Dispose();
        double flops = tape.Forward.Flops;
        return 1e-9 * flops / BestSeconds(() => op(x).Dispose());
    }

    static float[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i % 17 / 17f - 0.5f)];

    static double BestSeconds(Action action)
    {
        double best = double.PositiveInfinity;
        for (var total = Stopwatch.StartNew(); total.ElapsedMilliseconds < 250;)
        {
            long start = Stopwatch.GetTimestamp();
            action();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
        return best;
    }

    static double Peak<V>() where V : struct, ILanes<V>
    {
        const int rounds = 200_000;
        // Enough independent chains to hide the latency of two units, no more than the registers hold.
        bool wide = V.Accumulators >= 12;
        int chains = wide ? 12 : 6;
        float sink = 0;
        double seconds = BestSeconds(() => sink += wide ? Twelve<V>(rounds) : Six<V>(rounds));
        GC.KeepAlive(sink);
        return 1e-9 * 2 * 16 * chains * rounds / seconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static float Six<V>(int rounds) where V : struct, ILanes<V>
    {
        V x = V.Create(0.999f), y = V.Create(1e-3f), a = x, b = x, c = x, d = x, e = x, f = x;
        for (int i = 0; i < rounds; i++)
        {
            a = V.Fma(a, x, y); b = V.Fma(b, x, y); c = V.Fma(c, x, y);
            d = V.Fma(d, x, y); e = V.Fma(e, x, y); f = V.Fma(f, x, y);
        }
        return V.Sum(a + b + c + d + e + f);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static float Twelve<V>(int rounds) where V : struct, ILanes<V>
    {
        V x = V.Create(0.999f), y = V.Create(1e-3f), a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, k = x, l = x, m = x, n = x;
        for (int i = 0; i < rounds; i++)
        {
            a = V.Fma(a, x, y); b = V.Fma(b, x, y); c = V.Fma(c, x, y); d = V.Fma(d, x, y); e = V.Fma(e, x, y); f = V.Fma(f, x, y);
            g = V.Fma(g, x, y); h = V.Fma(h, x, y); k = V.Fma(k, x, y); l = V.Fma(l, x, y); m = V.Fma(m, x, y); n = V.Fma(n, x, y);
        }
        return V.Sum(a + b + c + d + e + f + g + h + k + l + m + n);
    }
}
