using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>The least time anything can take on this machine now.</summary>
readonly record struct Roof(double Gigaflops, double ReadGigabytes, double CopyGigabytes, double RoundTrip = double.NaN)
{
    public static Roof Measure(int threads)
    {
        var set = Cpu.InstructionSets.First(s => s.Supported).Name;
        var roof = new Roof(MachineRates.Peak(set, threads), MachineRates.Read(threads), MachineRates.Copy(threads), threads > 1 ? MachineRates.RoundTrip() : double.NaN);
        // What this process keeps is missing to those that it measures.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive);
        return roof;
    }

    public static Roof Higher(Roof a, Roof b) => new(Math.Max(a.Gigaflops, b.Gigaflops),
        Math.Max(a.ReadGigabytes, b.ReadGigabytes), Math.Max(a.CopyGigabytes, b.CopyGigabytes), Math.Max(a.RoundTrip, b.RoundTrip));

    /// <summary>By multiply-adds or by memory, whichever takes longer.</summary>
    public double Milliseconds(Cost work) => Math.Max(2e-6 * work.Macs / Gigaflops, 1e-6 * work.Bytes / Math.Max(ReadGigabytes, CopyGigabytes));
}

/// <summary>Which machine and which code.</summary>
static class Machine
{
    /// <summary>Processor and number of threads; family and model too, since cloud machines all call themselves the same.</summary>
    public static string Name { get; } = $"{Processor()} x{Environment.ProcessorCount}";

    /// <summary>Bytes that a process can still get, in units of 10⁹; infinite where the system does not say.</summary>
    public static double FreeGigabytes()
    {
        const string info = "/proc/meminfo";
        if (!File.Exists(info)) return double.PositiveInfinity;
        return double.Parse(Regex.Match(File.ReadAllText(info), @"MemAvailable:\s*(\d+) kB").Groups[1].Value, CultureInfo.InvariantCulture) * 1024e-9;
    }

    /// <summary>Short hash, with + where files other than results differ from it; empty without git.</summary>
    public static string Commit() => Git("rev-parse --short HEAD") is { Length: > 0 } hash ? hash + (Git("status --porcelain -uno -- . :!perf/results").Length > 0 ? "+" : "") : "";

    static string Processor()
    {
        const string info = "/proc/cpuinfo";
        var text = File.Exists(info) ? File.ReadAllText(info) : "";
        string Field(string name) => Regex.Match(text, $@"^{name}\s*:\s*(.+)$", RegexOptions.Multiline).Groups[1].Value.Trim();
        return Field("model name") is { Length: > 0 } model ? $"{model} family {Field("cpu family")} model {Field("model")}"
            : Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER")?.Replace(',', ' ') ?? RuntimeInformation.ProcessArchitecture.ToString();
    }

    static string Git(string arguments)
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            return git.StandardOutput.ReadToEnd().Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "";
        }
    }
}
