using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>One timed case: median and quintiles of many steps, the peer's median from the same minute, peak memory.</summary>
sealed record Measurement(string Case, string Device, double Ms50, double Ms20, double Ms80, string Unit, double PerSecond, double PeakMb, double PeerMs)
{
    const string Header = "case,machine,device,ms50,ms20,ms80,unit,per_second,peak_mb,peer_ms50,ratio,commit,date";

    public string Line => FormattableString.Invariant(
        $"case={Case} device=\"{Device}\" ours_ms={Ms50:F3} {Unit}/s={PerSecond:F1} peak_mb={PeakMb:F0}{(double.IsNaN(PeerMs) ? "" : $" peer_ms={PeerMs:F3} ratio={PeerMs / Ms50:F2}")}");

    /// <summary>Ours and the peer in turn, three rounds, medians of all.</summary>
    public static Measurement Take(Case one, PerfOptions options)
    {
        using var device = Cpu.Create(options.Threads);
        var step = one.Step(device);
        step();
        var times = new List<double>();
        var peer = new List<double>();
        for (int round = 0; round < 3; round++)
        {
            for (var watch = Stopwatch.StartNew(); watch.Elapsed.TotalSeconds < options.Seconds / 3;)
            {
                long start = Stopwatch.GetTimestamp();
                step();
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
            if (options.Peer is not null && one.Peer.Length > 0) peer.Add(RunPeer(options, one));
        }
        times.Sort();
        peer.Sort();
        double At(double quantile) => times[(int)(quantile * (times.Count - 1))];
        return new(one.Name, device.Name, At(0.5), At(0.2), At(0.8), one.Unit, one.Work / At(0.5) * 1000,
            device.PeakBytes / 1e6, peer.Count == 0 ? double.NaN : peer[peer.Count / 2]);
    }

    static double RunPeer(PerfOptions options, Case one)
    {
        var start = new ProcessStartInfo("sh", $"{options.Peer} {one.Peer} threads={options.Threads} secs={options.Seconds / 3}") { RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        var match = Regex.Match(output, @"wall_ms=([0-9.]+)");
        return match.Success ? double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"the peer printed no wall_ms: {output}");
    }

    public void Append(string folder)
    {
        Directory.CreateDirectory(folder);
        var machine = Regex.Match(File.Exists("/proc/cpuinfo") ? File.ReadAllText("/proc/cpuinfo") : "", @"model name\s*:\s*(.+)").Groups[1].Value.Trim();
        if (machine.Length == 0) machine = System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();
        machine = $"{machine} x{Environment.ProcessorCount}";
        var file = Path.Combine(folder, Regex.Replace(machine.ToLowerInvariant(), "[^a-z0-9]+", "-").Trim('-') + ".csv");
        if (!File.Exists(file)) File.WriteAllText(file, Header + "\n");
        File.AppendAllText(file, FormattableString.Invariant(
            $"{Case},{machine},\"{Device}\",{Ms50:F4},{Ms20:F4},{Ms80:F4},{Unit},{PerSecond:F2},{PeakMb:F1},{(double.IsNaN(PeerMs) ? "" : PeerMs.ToString("F4", CultureInfo.InvariantCulture))},{(double.IsNaN(PeerMs) ? "" : (PeerMs / Ms50).ToString("F3", CultureInfo.InvariantCulture))},{Commit()},{DateTime.UtcNow:yyyy-MM-dd}\n"));
    }

    static string Commit()
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", "rev-parse --short HEAD") { RedirectStandardOutput = true })!;
            return git.StandardOutput.ReadToEnd().Trim();
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "";
        }
    }
}
