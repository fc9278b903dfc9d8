using System.ComponentModel;
using System.Diagnostics;

namespace FaceSearch.Perf;

/// <summary>Which cores processes run on. Elsewhere than on Linux the system alone decides.</summary>
static class Cores
{
    // Bits of a mask of cores that is not negative.
    const int MostCores = 63;

    static readonly nint mask = OperatingSystem.IsLinux() ? Process.GetCurrentProcess().ProcessorAffinity : 0;

    /// <summary>The cores that this process may use; none where that is not known.</summary>
    public static IReadOnlyList<int> Allowed { get; } = [.. Enumerable.Range(0, MostCores).Where(core => (mask >> core & 1) != 0)];

    /// <summary>
    /// Where comparisons run: with one thread on each of two cores in turn, and of each side the core counts on which it was faster. One may be
    /// slower for minutes, by a quarter in products or by half with memory (perf/LOG.md), presumably as its other hardware thread or its way to
    /// memory has somebody else's work. With more threads, or no choice, null: wherever the system likes.
    /// </summary>
    public static IReadOnlyList<int?> Tried(int threads) => threads == 1 && Allowed is [int first, int second, ..] ? [first, second] : [null];

    /// <summary>What the calling thread measures on that core, or on any.</summary>
    public static T On<T>(int? core, Func<T> measure)
    {
        if (core is not { } one) return measure();
        using var self = Process.GetCurrentProcess();
        try
        {
            Bind(self, one);
            return measure();
        }
        finally
        {
            if (OperatingSystem.IsLinux()) self.ProcessorAffinity = mask;
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
}
