using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>One run of `facesearch profile`: options that its three kinds share, the measuring, and what is told and written.</summary>
sealed class ProfileRun : IDisposable
{
    static readonly Option<string> Name = new("--name") { Description = "run folder below profile/ of --runs; default: the next free number", HelpName = "NAME", DefaultValueFactory = _ => "" };
    static readonly Option<string> Instructions = new("--instructions") { Description = $"instruction set: {string.Join(", ", Cpu.InstructionSets.Select(s => s.Name))}; default: the best", HelpName = "NAME", DefaultValueFactory = _ => "" };
    static readonly Option<int> Top = new("--top") { Description = "rows of the table by shape", HelpName = "N", DefaultValueFactory = _ => 20 };
    static readonly Option<bool> Least = new("--least") { Description = "judge each op by its least time of all steps, not by its median: for a busy machine" };
    static readonly Option<double> Peak = new("--peak") { Description = "roof in GF/s of all threads; default: measured", HelpName = "GF/s" };
    static readonly Option<double> Bandwidth = new("--bandwidth") { Description = "roof in GB/s; default: measured by copying", HelpName = "GB/s" };
    static readonly Option<string> Compare = new("--compare") { Description = "an earlier profile to compare with: its name, or its profile.csv", HelpName = "NAME", DefaultValueFactory = _ => "" };

    readonly ParseResult result;
    readonly string instructions;
    readonly int threads, warmUp, steps;
    long peakBytes;

    ProfileRun(ParseResult result, SearchSettings settings, int steps, int warmUp)
    {
        (this.result, this.steps, this.warmUp, Settings, threads) = (result, steps, warmUp, settings, result.ThreadCount());
        instructions = InstructionSet(result.GetValue(Instructions)!);
        Device = Devices.Open(result.GetValue(SettingsOptions.Device) is { Length: > 0 } asked ? asked : settings.Train.Device, threads, instructions, settings.Train.Exact, settings.Train.Precision);
    }

    public SearchSettings Settings { get; }
    public Device Device { get; }
    public int TotalSteps => steps + warmUp;

    // A training is planned for twice as many steps.
    const int MostWarmUps = 5;
    static readonly TimeSpan WarmTime = TimeSpan.FromSeconds(0.5);

    public static Command WithOptions(Command command)
    {
        foreach (var option in (System.CommandLine.Option[])[SettingsOptions.Device, SettingsOptions.Threads, Instructions, Least, Peak, Bandwidth, Top, Compare, Name, SettingsOptions.Runs]) command.Options.Add(option);
        return command;
    }

    public static int Of(ParseResult result, string kind, SearchSettings settings, Option<int> steps, Option<int> warmUp, Func<ProfileRun, IProfiled> start)
    {
        using var run = new ProfileRun(result, settings, result.GetValue(steps), result.GetValue(warmUp));
        var earlier = ProfileComparison.Read(result.GetValue(SettingsOptions.Runs)!, result.GetValue(Compare)!);
        using var subject = start(run);
        // Profiled too, so that the profiler's own code is compiled before it counts. Wrong sizes show here, before there is a folder.
        run.Warm(subject);
        using var folder = run.Folder(kind);
        run.Measure(subject, folder, earlier);
        return 0;
    }

    // The runtime compiles what is called often once more, a tenth of a second later: short steps need more of them until then.
    void Warm(IProfiled subject)
    {
        var unused = new Profiler(Device);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < warmUp || (warmUp > 0 && i < MostWarmUps * TotalSteps && Stopwatch.GetElapsedTime(start) < WarmTime); i++) subject.Step(unused);
    }

    void Measure(IProfiled subject, RunFolder folder, ProfileComparison? earlier)
    {
        var before = Rates();
        Device.ResetPeak();
        var profiler = new Profiler(Device);
        for (int i = 0; i < steps; i++) subject.Step(profiler);
        // Before the rates are measured again, on a GPU in memory of the device.
        peakBytes = Device.PeakBytes;
        var after = Rates();
        var roof = new Roof(Math.Max(before.Peak, after.Peak), Math.Max(before.Bandwidth, after.Bandwidth));
        var profile = Profile.Of(profiler.Spans, roof, result.GetValue(Least));

        var title = $"{subject.Title}, {Device.Name}";
        Console.WriteLine($"profile: {title}");
        Console.WriteLine();
        new ProfileTable(profile, result.GetValue(Top)).Write();
        Summary(profile, subject);
        earlier?.Write(profile);
        ProfileFiles.WriteCsv(folder.In("profile.csv"), profile);
        ProfileFiles.WriteTrace(folder.In("trace.json"), profiler.Spans, roof, Device.Name);
        ProfileFiles.Write(folder.In("roofline.svg"), file => file.Write(Encoding.UTF8.GetBytes(Roofline.Svg(profile, title))));
        folder.Log(new { device = Device.Name, step_ms = profile.Steps, gap_ms = profile.Gap.Milliseconds, interruptions = profile.Interruptions, peak_gflops = roof.Peak, bandwidth_gbs = roof.Bandwidth, peak_bytes = peakBytes });
        foreach (var file in (string[])["profile.csv", "trace.json", "roofline.svg"]) Console.WriteLine($"{Path.GetFileNameWithoutExtension(file)}: {folder.In(file)}");
    }

    /// The roofs of all threads. Measured on both sides of the steps, the better holds: a busy neighbour lowers only one.
    Roof Rates()
    {
        double peak = result.GetValue(Peak), bandwidth = result.GetValue(Bandwidth);
        var gpu = Device as Gpu;
        var rates = new Roof(peak > 0 ? peak : gpu?.Peak() ?? MachineRates.Peak(instructions, threads), bandwidth > 0 ? bandwidth : gpu?.CopyRate() ?? MachineRates.Copy(threads));
        // The copy's buffers must not be collected inside a step.
        GC.Collect();
        return rates;
    }

    void Summary(Profile profile, IProfiled subject)
    {
        var (roof, work, steps, time) = (profile.Roof, profile.Work, profile.Steps, profile.Milliseconds);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"step: median {time:0.000} ms, least {steps.Min():0.000}, most {steps.Max():0.000} over {steps.Count} steps, " +
            $"interrupted {profile.Interruptions:0.#} times each; {1000 * subject.Images / time:0.#} images/s"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"work: {work.Flops * 1e-9:0.###} GFLOP and {work.Bytes * 1e-6:0.#} MB a step = {work.Flops / time * 1e-6:0.0} GF/s and " +
            $"{work.Bytes / time * 1e-6:0.0} GB/s; tensors take at most {peakBytes / 1048576.0:0.0} MiB, planned {subject.PlannedBytes / 1048576.0:0.0}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"roof: {roof.Peak:0.0} GF/s of {(Device is Gpu ? "the GPU" : threads == 1 ? "1 thread" : $"{threads} threads")} and {roof.Bandwidth:0.0} GB/s, meeting at {roof.Ridge:0.0} flop/B; " +
            $"above 100 %: data came from a cache, or an algorithm does with fewer operations than the cost model counts"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ops and gaps add up to {profile.Sum:0.000} ms by their own {(result.GetValue(Least) ? "least times" : "medians")}, " +
            $"{profile.Gap.Milliseconds:0.000} ms ({100 * profile.Gap.Share:0.0} %) of it not covered, between ops"));
        if (Device is Gpu gpu)
            Console.WriteLine($"kernels: timed {(gpu.IsSimulated ? "one by one by the host" : "by events of the GPU")}; a kernel's work is its share of its op's by time");
        if (profile.Beside.Count > 0)
            Console.WriteLine($"beside them, the host: {string.Join(", ", profile.Beside.Select(b => FormattableString.Invariant($"{b.Name} {b.Milliseconds:0.000} ms")))}");
        Console.WriteLine($"farthest from the roof: {string.Join("; ", Farthest(profile))}");
    }

    /// The rows that would win most if they reached their roof.
    static IEnumerable<string> Farthest(Profile profile) =>
        profile.Rows.Where(r => r.Work.Bytes > 0)
            .Select(r => (r.Name, Above: r.Milliseconds - profile.Roof.Milliseconds(r.Work)))
            .OrderByDescending(r => r.Above).Take(3).Select(r => FormattableString.Invariant($"{r.Name} {r.Above:+0.000;-0.000} ms"));

    RunFolder Folder(string kind)
    {
        var runs = Path.Combine(result.GetValue(SettingsOptions.Runs)!, "profile");
        var path = result.GetValue(Name) is { Length: > 0 } name ? Path.Combine(runs, name) : RunFolder.Free(runs, kind);
        if (Directory.Exists(path)) throw new InputException($"profile {path} exists already: choose another --name");
        return new(path, Settings, [Settings.Run.Seed], resume: false);
    }

    static string InstructionSet(string name)
    {
        var supported = Cpu.InstructionSets.Where(s => s.Supported).Select(s => s.Name).ToArray();
        if (name.Length == 0) return supported[0];
        return supported.FirstOrDefault(s => s.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw new InputException($"--instructions {name}: this machine has {string.Join(", ", supported)}");
    }

    public void Dispose() => Device.Dispose();
}
