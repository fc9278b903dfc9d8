using System.Diagnostics;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Cases on this machine's GPU beside PyTorch: processes that get warm side by side and then take turns; one that is late or fails leaves its columns empty.</summary>
static class GpuComparison
{
    public const string Verb = "child";
    const int Rounds = 3;
    const double SecondsEach = 0.6;
    // What memory may differ from its plan.
    const double PlanError = 0.2;
    // Kept for measuring once all are warm.
    static readonly TimeSpan Measuring = TimeSpan.FromSeconds(8);
    // For one case, warming up and compiling included.
    static readonly TimeSpan Longest = TimeSpan.FromSeconds(100), Shortest = TimeSpan.FromSeconds(4);

    /// <summary>Our half of a case.</summary>
    public static int Serve(string name)
    {
        try
        {
            using var device = GpuProgram.OpenCuda();
            Sampler.Serve(GpuCases.Find(name)!.Ours(device), Console.In, Console.Out);
            return 0;
        }
        catch (DeviceException e)
        {
            Console.Error.WriteLine(e.Message);
            return 1;
        }
    }

    /// <summary>All cases that fit into the time; appends rows to the folder. 0 where each of ours was measured, or is known to be missing.</summary>
    public static int Run(double seconds, string folder, string torch)
    {
        double copy, peak = double.NaN;
        using (var device = (Gpu)GpuProgram.OpenCuda()) copy = device.CopyRate();
        Console.WriteLine(FormattableString.Invariant($"copying the GPU's memory: {copy:0} GB/s read + written; precision of our device: {GpuProgram.Precision}"));
        bool peer = File.Exists(torch) && Answers(torch);
        var watch = Stopwatch.StartNew();
        int missing = 0, measured = 0;
        var unplanned = new List<string>();
        foreach (var one in GpuCases.All.Wanted(inDryRun: 3))
        {
            var left = TimeSpan.FromSeconds(seconds) - watch.Elapsed;
            if (left < Shortest)
            {
                Console.WriteLine($"{one.Name}: left out for want of time");
                continue;
            }
            var row = Take(one, left < Longest ? left : Longest, peer ? torch : null, new(peak, copy, copy));
            if (one.Name == GpuCases.All[0].Name)
            {
                // The higher of both rates is what this GPU can do.
                peak = 2e-6 * one.Work().Macs / (row.PeerBestMs < row.OursMs || double.IsNaN(row.OursMs) ? row.PeerBestMs : row.OursMs);
                row = row with { PeakGflops = peak, Roof = row.Gflops / peak };
            }
            double planned = Planned(one);
            if (!double.IsNaN(row.OursMb) && !(Math.Abs(row.OursMb / planned - 1) <= PlanError)) unplanned.Add(one.Name);
            Results.Append(folder, row);
            Console.WriteLine(FormattableString.Invariant($"{row.Summary} planned_mb={planned:0}"));
            if (double.IsNaN(row.OursMs)) missing++;
            else measured++;
        }
        Console.WriteLine($"benchmarks: {measured} cases measured, {missing} of our sides could not be measured{(peer ? "" : "; no PyTorch, its columns are empty")}");
        if (unplanned.Count > 0) Console.WriteLine(FormattableString.Invariant($"memory is off the plan by more than {PlanError:0 %} in {string.Join(", ", unplanned)}"));
        return missing == 0 && measured > 0 && unplanned.Count == 0 ? 0 : 1;
    }

    /// What the device's own meter says of a step, in 10⁶ bytes.
    static double Planned(Case one)
    {
        using var device = GpuProgram.OpenCuda();
        using var meter = device.NewMeter();
        one.Ours(meter).Run();
        return meter.PeakBytes / 1e6;
    }

    static Row Take(Case one, TimeSpan patience, string? torch, Roof roof)
    {
        var until = DateTime.UtcNow + (patience > 2 * Measuring ? patience - Measuring : patience / 2);
        var children = new Dictionary<string, ChildProcess> { [""] = ChildProcess.Begin(ChildProcess.Self("gpu", Verb, one.Name)) };
        if (torch is not null)
            foreach (var form in one.Peer) children[form.Name] = ChildProcess.Begin(Torch(torch, form.Arguments));
        var warm = children.ToDictionary(c => c.Key, c => c.Value.WhenReady(until - DateTime.UtcNow)).Where(c => c.Value is not null).ToDictionary(c => c.Key, c => c.Value!);
        for (int round = 0; round < Rounds; round++)
            foreach (var child in warm.Values) child.MeasureMore(SecondsEach);
        var samples = warm.Where(c => !c.Value.Ended).ToDictionary(c => c.Key, c => c.Value.Sample);
        foreach (var child in warm.Values) child.Dispose();
        return Row.Of(one, 1, roof, samples.GetValueOrDefault(""), one.Peer.Where(f => samples.ContainsKey(f.Name)).ToDictionary(f => f, f => samples[f.Name]), GpuProgram.Machine, GpuProgram.Commit);
    }

    static ProcessStartInfo Torch(string script, string arguments) => new("python3", [script, .. arguments.Split(' ')]);

    /// Says so where there is none.
    static bool Answers(string script)
    {
        try
        {
            using var python = Process.Start(new ProcessStartInfo("python3", [script, "version"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
            var complaint = python.StandardError.ReadToEndAsync();
            string version = python.StandardOutput.ReadToEnd().Trim();
            python.WaitForExit();
            Console.WriteLine(python.ExitCode == 0 ? version : $"no PyTorch: {complaint.Result.Trim().Split('\n')[^1]}");
            return python.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Console.WriteLine("no PyTorch: there is no python3");
            return false;
        }
    }
}
