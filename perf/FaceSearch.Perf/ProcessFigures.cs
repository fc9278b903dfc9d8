using System.Globalization;
using System.Runtime.InteropServices;

namespace FaceSearch.Perf;

/// <summary>What the system says of this process. Compiled into the peer as well.</summary>
static unsafe partial class ProcessFigures
{
    // struct rusage of 64-bit Linux and macOS is at most 18 words; the page faults without reading from disk are the ninth.
    const int UsageWords = 18, MinorFaultsWord = 8;

    /// <summary>Pages handed to this process so far, all threads; NaN where the system does not say.</summary>
    public static double MinorFaults()
    {
        if (OperatingSystem.IsWindows()) return double.NaN;
        long* usage = stackalloc long[UsageWords];
        return GetUsage(0, usage) == 0 ? usage[MinorFaultsWord] : double.NaN;
    }

    /// <summary>The most memory this process ever held, in MB (10⁶ bytes).</summary>
    public static double PeakMegabytes()
    {
        const string status = "/proc/self/status", key = "VmHWM:";
        if (!File.Exists(status)) return System.Diagnostics.Process.GetCurrentProcess().PeakWorkingSet64 / 1e6;
        var line = File.ReadLines(status).First(l => l.StartsWith(key, StringComparison.Ordinal));
        return double.Parse(line[key.Length..^"kB".Length], CultureInfo.InvariantCulture) * 1024 / 1e6;
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetUsage(int who, long* usage);
}
