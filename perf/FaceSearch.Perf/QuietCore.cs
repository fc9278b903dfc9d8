using System.ComponentModel;
using System.Diagnostics;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>
/// The core for comparisons with one thread. A core whose other hardware thread seems to have somebody else's work multiplies slower, by up to a
/// quarter (perf/LOG.md): both sides of a round run on the same one, and on the better one.
/// </summary>
static class QuietCore
{
    // As many cores are tried, so long each.
    const int MostCores = 8;
    static readonly TimeSpan Trial = TimeSpan.FromMilliseconds(20);

    static readonly Lazy<Step> probe = new(() => OpSteps.Product(Cpu.Create(1), 96, 256, 512));
    static readonly nint allowed = OperatingSystem.IsLinux() ? Process.GetCurrentProcess().ProcessorAffinity : 0;

    /// <summary>Of the cores that this process may use the one that multiplies fastest now; null where there is no choice, or no way to make it.</summary>
    public static int? Find()
    {
        if (!OperatingSystem.IsLinux()) return null;
        int[] cores = [.. Enumerable.Range(0, 63).Where(core => (allowed >> core & 1) != 0).Take(MostCores)];
        if (cores.Length < 2) return null;
        using var self = Process.GetCurrentProcess();
        try
        {
            var (best, most) = (cores[0], 0);
            foreach (int core in cores)
            {
                self.ProcessorAffinity = (nint)1 << core;
                int runs = Runs();
                if (runs > most) (best, most) = (core, runs);
            }
            return best;
        }
        finally
        {
            self.ProcessorAffinity = allowed;
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
