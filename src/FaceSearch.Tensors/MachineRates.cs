using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Quick measurements of this machine, best of a few tries, a quarter of a second each. With several threads all start
/// together and the slowest counts.
/// </summary>
public static unsafe class MachineRates
{
    // For each thread; far larger than the caches.
    const int MemoryBytes = 128 << 20;

    /// <summary>GF/s of multiply-adds that touch no memory: the roof of every kernel.</summary>
    public static double Peak(string instructionSet, int threads = 1) => threads *
        (instructionSet == Avx512Lanes.Name ? Peak<Avx512Lanes>(threads) : instructionSet == Avx2Lanes.Name ? Peak<Avx2Lanes>(threads) : Peak<PortableLanes>(threads));

    /// <summary>GB/s read and written by copying memory, past the caches.</summary>
    public static double Copy(int threads = 1) => Memory(2, threads, pieces =>
        2e-9 * threads * MemoryBytes / BestSeconds(threads, thread => Copy((float*)pieces[thread][0], (float*)pieces[thread][1])));

    /// <summary>GB/s of reading memory.</summary>
    public static double Read(int threads = 1)
    {
        float sink = 0;
        return Memory(1, threads, pieces =>
            1e-9 * threads * MemoryBytes / BestSeconds(threads, thread => Volatile.Write(ref sink, Sum((float*)pieces[thread][0]))));
    }

    // Far enough ahead for memory to answer: a roof measured without asking early is one that kernels go through.
    const int FloatsAhead = 1024;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static float Sum(float* p)
    {
        PortableLanes a = PortableLanes.Zero, b = PortableLanes.Zero;
        for (float* end = p + MemoryBytes / 4; p < end; p += 32)
        {
            Lanes.PrefetchNear(p + FloatsAhead);
            Lanes.PrefetchNear(p + FloatsAhead + 16);
            a += PortableLanes.Load(p);
            b += PortableLanes.Load(p + 16);
        }
        return PortableLanes.Sum(a + b);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Copy(float* from, float* to)
    {
        for (float* end = from + MemoryBytes / 4; from < end; from += 16, to += 16)
        {
            Lanes.PrefetchNear(from + FloatsAhead);
            PortableLanes.Stream(PortableLanes.Load(from), to);
        }
    }

    /// So many pieces for each thread, in pages as tensors have them.
    static double Memory(int count, int threads, Func<nint[][], double> measure)
    {
        nint[][] pieces = [.. Enumerable.Range(0, threads).Select(_ => Enumerable.Range(0, count).Select(_ =>
        {
            var piece = Pages.Allocate(MemoryBytes);
            new Span<float>(piece, MemoryBytes / 4).Fill(1);
            return (nint)piece;
        }).ToArray())];
        try { return measure(pieces); }
        finally { foreach (var piece in pieces.SelectMany(p => p)) Pages.Free((float*)piece); }
    }

    /// <summary>
    /// ns from one core telling another something until it sees the answer: a flag to and fro, the mean of a hundred times, best of
    /// a twentieth of a second. Some 50 where they share an L3 cache, several hundred where each has its own; NaN with a single core.
    /// </summary>
    public static double RoundTrip()
    {
        if (Environment.ProcessorCount < 2) return double.NaN;
        const int rounds = 100;
        var flag = new Flag();
        var other = new Thread(flag.Answer);
        other.Start();
        double best = double.PositiveInfinity;
        for (var total = Stopwatch.StartNew(); total.ElapsedMilliseconds < 50;)
        {
            long start = Stopwatch.GetTimestamp();
            flag.Ask(rounds);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalNanoseconds / rounds);
        }
        flag.End();
        other.Join();
        return best;
    }

    /// On a cache line of its own. Odd: asked; even: answered; negative: no more.
    sealed class Flag
    {
        readonly int[] line = new int[64];

        ref int Value => ref line[32];

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Answer()
        {
            ref int flag = ref Value;
            for (int value; (value = Volatile.Read(ref flag)) >= 0;)
                if ((value & 1) == 1) Interlocked.Exchange(ref flag, value + 1);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Ask(int rounds)
        {
            ref int flag = ref Value;
            for (int i = 0, said = flag; i < rounds; i++, said += 2)
            {
                Interlocked.Exchange(ref flag, said + 1);
                while (Volatile.Read(ref flag) != said + 2) { }
            }
        }

        public void End() => Volatile.Write(ref Value, -1);
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
        return 1e-9 * flops / BestSeconds(() =>
        {
            op(x).Dispose();
            device.Synchronize();
        });
    }

    static float[] Ramp(int count) => [.. Enumerable.Range(0, count).Select(i => i % 17 / 17f - 0.5f)];

    static double BestSeconds(Action action) => BestSeconds(1, _ => action());

    /// Two barriers a try: all threads start together, and the time runs until the last is done.
    static double BestSeconds(int threads, Action<int> action)
    {
        double best = double.PositiveInfinity;
        long start = 0;
        var total = Stopwatch.StartNew();
        bool goesOn = true;
        using var begin = new Barrier(threads, _ => start = Stopwatch.GetTimestamp());
        using var end = new Barrier(threads, _ =>
        {
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            goesOn = total.ElapsedMilliseconds < 250;
        });
        void Try(int thread)
        {
            while (Volatile.Read(ref goesOn))
            {
                begin.SignalAndWait();
                action(thread);
                end.SignalAndWait();
            }
        }
        var others = Enumerable.Range(1, threads - 1).Select(thread => new Thread(() => Try(thread))).ToArray();
        foreach (var other in others) other.Start();
        Try(0);
        foreach (var other in others) other.Join();
        return best;
    }

    static double Peak<V>(int threads) where V : struct, ILanes<V>
    {
        const int rounds = 200_000;
        // Enough independent chains to hide the latency of two units, no more than the registers hold.
        bool wide = V.Accumulators >= 12;
        int chains = wide ? 12 : 6;
        var sinks = new float[threads];
        double seconds = BestSeconds(threads, thread => sinks[thread] += wide ? Twelve<V>(rounds) : Six<V>(rounds));
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
