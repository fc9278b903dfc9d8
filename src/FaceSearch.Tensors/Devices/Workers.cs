using System.Runtime.ExceptionServices;

namespace FaceSearch.Tensors;

/// <summary>
/// A device's own threads. Each begins with its own share of the numbers, the same one in every call: tiles are numbered as what they read
/// and write lies in memory, so that a thread finds the images in its caches that it wrote before. Tiles are taken by an atomic counter for each
/// share, and who is done helps with what is left of others': a thread delayed by a neighbour costs one tile, not a share of the
/// whole. Which thread computes a tile never changes its result: reductions go over per-tile partial results in tile order.
/// </summary>
sealed class Workers : IDisposable
{
    /// <summary>What one tile does. `worker` only chooses scratch memory.</summary>
    public delegate void Tile(int tile, int worker);

    // About 40 µs: the next pass usually comes sooner; spinning longer robs whoever else wants the core.
    const int SpinsBeforeParking = 60;

    /// One call of Run. A worker that wakes late finds no tile left in it, and cannot touch the next call's.
    sealed class Job(Tile body, int tiles, int shares)
    {
        // Counters a cache line apart.
        const int Line = 16;

        readonly int[] taken = new int[shares * Line];
        int done;
        ExceptionDispatchInfo? error;

        public bool IsDone => Volatile.Read(ref done) >= tiles;

        public void Take(int worker)
        {
            for (int helped = 0; helped < shares; helped++) TakeShare((worker + helped) % shares, worker);
        }

        void TakeShare(int share, int worker)
        {
            int begin = Begin(share), end = Begin(share + 1);
            for (int i; (i = begin + Interlocked.Increment(ref taken[share * Line]) - 1) < end; Interlocked.Increment(ref done))
            {
                try
                {
                    if (Volatile.Read(ref error) is null) body(i, worker);
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref error, ExceptionDispatchInfo.Capture(e), null);
                }
            }
        }

        int Begin(int share) => (int)((long)tiles * share / shares);

        public void ThrowIfFailed() => error?.Throw();
    }

    readonly Thread[] threads;
    readonly object gate = new();
    Job? job;
    volatile int generation;
    volatile bool stopping;

    public Workers(int count)
    {
        if (count < 1) throw new ArgumentOutOfRangeException(nameof(count), count, "a device has at least one thread");
        Count = count;
        threads = new Thread[count - 1];
        for (int i = 0; i < threads.Length; i++)
        {
            int worker = i + 1;
            threads[i] = new(() => Serve(worker)) { IsBackground = true, Name = $"tensor worker {worker}" };
            threads[i].Start();
        }
    }

    /// <summary>Threads that compute, the caller included.</summary>
    public int Count { get; }

    /// <summary>Runs tiles 0 to n−1 and returns when all are done. The first exception of a tile is thrown again here.</summary>
    public void Run(int n, Tile tile)
    {
        if (threads.Length == 0 || n <= 1)
        {
            for (int i = 0; i < n; i++) tile(i, 0);
            return;
        }
        var mine = new Job(tile, n, Count);
        lock (gate)
        {
            job = mine;
            generation++;
            Monitor.PulseAll(gate);
        }
        mine.Take(0);
        var spin = new SpinWait();
        while (!mine.IsDone) spin.SpinOnce(sleep1Threshold: -1);
        mine.ThrowIfFailed();
    }

    void Serve(int worker)
    {
        for (int seen = 0; ;)
        {
            for (int spin = 0; generation == seen && spin < SpinsBeforeParking; spin++) Thread.SpinWait(20);
            Job mine;
            lock (gate)
            {
                while (generation == seen && !stopping) Monitor.Wait(gate);
                if (stopping) return;
                (seen, mine) = (generation, job!);
            }
            mine.Take(worker);
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            stopping = true;
            Monitor.PulseAll(gate);
        }
        foreach (var thread in threads) thread.Join();
    }
}
