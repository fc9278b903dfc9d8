using System.ComponentModel;
using System.Diagnostics;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Which cores processes run on. Elsewhere than on Linux the system alone decides.</summary>
static class Cores
{
    // The most that are tried, so long each.
    const int MostTried = 8;
    static readonly TimeSpan Trial = TimeSpan.FromMilliseconds(20);
    // Bits of a mask of cores that is not negative.
    const int MostCores = 63;

    static readonly nint mask = OperatingSystem.IsLinux() ? Process.GetCurrentProcess().ProcessorAffinity : 0;
    static readonly Lazy<Step> probe = new(() => OpSteps.Product(Cpu.Create(1), 96, 256, 512));

    /// <summary>The cores that this process may use; none where that is not known.</summary>
    public static IReadOnlyList<int> Allowed { get; } = [.. Enumerable.Range(0, MostCores).Where(core => (mask >> core & 1) != 0)];

    /// <summary>
    /// The core that multiplies fastest now, for comparisons with one thread; null where there is no choice. Of two cores one was slower by up to a
    /// quarter for minutes (perf/LOG.md), presumably as its other hardware thread had somebody else's work: both sides of a round must run on the same one.
    /// </summary>
    public static int? Fastest()
    {
        if (!OperatingSystem.IsLinux() || Allowed.Count < 2) return null;
        using var self = Process.GetCurrentProcess();
        try
        {
            var (best, most) = (Allowed[0], 0);
            foreach (int core in Allowed.Take(MostTried))
            {
                self.ProcessorAffinity = (nint)1 << core;
                int runs = Runs();
                if (runs > most) (best, most) = (core, runs);
            }
            return best;
        }
        finally
        {
            self.ProcessorAffinity = mask;
        }
    }

    /// <summary>Lets the process's first thread, which computes, run on this core alone.</summary>
    public static void Bind(Process process, int core)
    {
        try
        {
            if (OperatingSystem.IsLinux()) process.ProcessorAffinity = (nint)1 << core;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            // The process has ended, as its next answer will tell.
        }
    }

    /// Products in the time of a trial, after a first one that is not counted.
    static int Runs()
    {
        probe.Value.Run();
        var watch = Stopwatch.StartNew();
        int runs = 0;
        for (; watch.Elapsed < Trial; runs++) probe.Value.Run();
        return runs;
    }
}
