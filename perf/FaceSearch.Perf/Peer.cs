using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace FaceSearch.Perf;

/// <summary>TorchSharp in perf/peer: built on first use, started in the forms of a case.</summary>
sealed class Peer
{
    static readonly string Folder = Path.Combine("perf", "peer"), Output = Path.Combine(Folder, "bin", "Release", "net10.0");
    static readonly string[] Shared = [nameof(Sampler), nameof(ProcessFigures)];
    // glibc's malloc gives memory above 128 KiB back to the system at once, and each new page of it costs a fault.
    const string Tuned = "glibc.malloc.mmap_threshold=34359738368:glibc.malloc.trim_threshold=34359738368:glibc.malloc.hugetlb=1";

    Peer() { }

    /// <summary>Builds the peer where needed; null, having said why, where that is not possible.</summary>
    public static Peer? Prepare()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            return Missing("it is set up for Linux on x64 only");
        var ready = Path.Combine(Output, ".ready");
        if (File.Exists(ready) && Sources().All(source => File.GetLastWriteTimeUtc(source) < File.GetLastWriteTimeUtc(ready))) return new();
        Console.Error.WriteLine("building the peer (downloads TorchSharp and libtorch on first use) …");
        var (code, log) = Run("dotnet", "build", "-c", "Release", "-v", "quiet", "--nologo", Path.Combine(Folder, "Peer.csproj"));
        if (code != 0) return Missing($"it did not build:\n{log}");
        if (LibStdCxx.Fit(Path.Combine(Output, "libLibTorchSharp.so")) is { } problem) return Missing(problem);
        (code, log) = Run(Path.Combine(Output, "peer"), "gemm", "m=8", "n=8", "k=8", "secs=0");
        if (code != 0) return Missing($"it does not run:\n{log}");
        File.WriteAllText(ready, "");
        return new();
    }

    /// <summary>A process that answers the questions of a measurement.</summary>
    public static ProcessStartInfo Start(PeerForm form, int threads)
    {
        var count = threads.ToString(CultureInfo.InvariantCulture);
        return new(Path.Combine(Output, "peer"), [.. form.Arguments.Split(' '), $"threads={count}", "serve=1"])
        {
            Environment = { ["OMP_NUM_THREADS"] = count, ["MKL_NUM_THREADS"] = count, ["GLIBC_TUNABLES"] = form.TunedMalloc ? Tuned : "" },
        };
    }

    static IEnumerable<string> Sources() => Directory.EnumerateFiles(Folder)
        .Concat(Shared.Select(name => Path.Combine("perf", "FaceSearch.Perf", name + ".cs")));

    static Peer? Missing(string why)
    {
        Console.Error.WriteLine($"no peer, its columns stay empty: {why}");
        return null;
    }

    static (int Code, string Log) Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var log = process.StandardOutput.ReadToEnd() + errors.Result;
        process.WaitForExit();
        return (process.ExitCode, log);
    }
}
