using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>
/// The same short search of the program twice, on the GPU and then on two threads of this machine's CPU, in what is left of the time: trials per
/// hour, by the clock from start to end, and their ratio as a row of the results, in which a trial is a step and the peer is the CPU.
/// </summary>
static partial class SearchRace
{
    public const string Case = "gpu-search";
    const int Threads = 2;
    // Of the time, for the GPU's search.
    const double GpuShare = 0.5;

    static readonly string[] Search = ["search", .. Sets("Study.Trials=4", "Study.Finalists=1", "Study.FinalSeeds=1")];
    static readonly string[] Small = Sets("Data.SynthIdentities=24", "Data.SynthImages=8", "Data.Size=16", "Data.Margin=2", "Data.HoldOutPairs=40", "Net.Embedding=16", "Train.Batch=16", "Train.Budget=0.004", "Clean.TeacherBudget=0.002");

    static string[] Sets(params string[] changes) => [.. changes.SelectMany(change => new[] { "--set", change })];

    /// <summary>Runs go below the folder `runs` beside that of the rows. 0 where the GPU's search came to its end, however late the CPU's is.</summary>
    public static int Run(double seconds, string folder, string program)
    {
        string runs = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(folder))!, "runs");
        var clock = Stopwatch.StartNew();
        if (MillisecondsPerTrial(program, runs, Devices.Cuda, GpuShare * seconds, ["--set", $"Train.Precision={Devices.Bf16}"]) is not { } ours)
        {
            Console.WriteLine("no figure: the search on the GPU did not come to its end");
            return 1;
        }
        var peer = MillisecondsPerTrial(program, runs, Devices.CpuName, seconds - clock.Elapsed.TotalSeconds, []);
        double ms = peer ?? double.NaN, ratio = ms / ours, none = double.NaN;
        Results.Append(folder, new(DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture), GpuProgram.Commit, GpuProgram.Machine, Case, 1, ours, none, none, none, none, none, none, none,
            ms, peer is null ? "" : $"cpu {Threads} threads", none, none, none, ratio, none, none, none, none, none, none));
        Console.WriteLine(FormattableString.Invariant($"search: {PerHour(ours):0} trials an hour on the GPU; ") +
            (peer is null ? $"on {Threads} threads of the CPU it was not done in what was left of the time" : FormattableString.Invariant($"{PerHour(ms):0} on {Threads} threads of the CPU: {ratio:0.0} times as many")));
        return 0;
    }

    static double PerHour(double milliseconds) => 3.6e6 / milliseconds;

    /// Null, having said why, where it did not come to its end. Each has a cache of its own: neither finds the other's teacher.
    static double? MillisecondsPerTrial(string program, string runs, string device, double seconds, string[] more)
    {
        var start = new ProcessStartInfo(program, [.. Search, "--device", device, .. more, .. GpuCases.IsSmall ? Small : [], "--runs", Path.Combine(runs, device)]) { RedirectStandardOutput = true };
        start.Environment["FACESEARCH_CACHE"] = Path.Combine(runs, $"cache-{device}");
        if (device == Devices.CpuName) start.Environment["DOTNET_PROCESSOR_COUNT"] = Threads.ToString(CultureInfo.InvariantCulture);
        var clock = Stopwatch.StartNew();
        using var search = Process.Start(start)!;
        var told = search.StandardOutput.ReadToEndAsync();
        bool late = !search.WaitForExit(TimeSpan.FromSeconds(Math.Max(1, seconds)));
        double elapsed = clock.Elapsed.TotalMilliseconds;
        if (late) search.Kill(entireProcessTree: true);
        search.WaitForExit();
        Console.WriteLine($"-- {device}\n{told.Result.TrimEnd()}");
        var end = EndPattern().Match(told.Result);
        if (!late && search.ExitCode == 0 && end.Success) return elapsed / int.Parse(end.Groups[1].Value, CultureInfo.InvariantCulture);
        Console.WriteLine(late ? FormattableString.Invariant($"{device}: stopped after {seconds:0} s") : $"{device}: exit code {search.ExitCode}, no result");
        return null;
    }

    [GeneratedRegex(@"^best=\S+ baseline=\S+ trials=(\d+) ", RegexOptions.Multiline)]
    private static partial Regex EndPattern();
}
