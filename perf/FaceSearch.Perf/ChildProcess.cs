using System.Diagnostics;
using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>One side of a comparison in a process of its own, so that its peak memory is that of the case alone.</summary>
sealed class ChildProcess : IDisposable
{
    public const string Verb = "child";
    // The other side's threads may still spin for a while after their last step.
    const int PauseMilliseconds = 50;
    // A side that has been measured this long has said enough, whatever the number of rounds.
    const double LongEnough = 10;

    readonly Process process;
    readonly List<Sample> rounds = [];
    double measured;

    ChildProcess(ProcessStartInfo start)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput, start.RedirectStandardError) = (true, true, true);
        process = Process.Start(start)!;
        process.ErrorDataReceived += (_, line) => Complaint = line.Data is { Length: > 0 } text && Complaint.Length == 0 ? text : Complaint;
        process.BeginErrorReadLine();
    }

    /// <summary>The first line the process wrote to its error stream.</summary>
    public string Complaint { get; private set; } = "";

    /// <summary>All rounds so far as one.</summary>
    public Sample Sample => Perf.Sample.Join(rounds);

    /// <summary>Our side of a case, warm.</summary>
    public static ChildProcess Ours(Case one, int threads) =>
        Start(Self(Verb, one.Name, threads.ToString(CultureInfo.InvariantCulture)))
        ?? throw new InvalidOperationException($"our side of {one.Name} ended before it was ready; try: ./build.sh perf {one.Name} --no-peer");

    /// <summary>The process, warm; null if it ended before that.</summary>
    public static ChildProcess? Start(ProcessStartInfo start)
    {
        var child = new ChildProcess(start);
        if (child.process.StandardOutput.ReadLine() is not null) return child;
        child.process.WaitForExit();
        Console.Error.WriteLine($"{Path.GetFileName(start.FileName)} ended with {child.process.ExitCode}: {child.Complaint}");
        child.Dispose();
        return null;
    }

    /// <summary>How to start this program again with other arguments.</summary>
    public static ProcessStartInfo Self(params string[] arguments)
    {
        var program = typeof(ChildProcess).Assembly.Location;
        return new(Environment.ProcessPath!, Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [program, .. arguments] : arguments);
    }

    /// <summary>One round of steps.</summary>
    public Sample Measure(double seconds)
    {
        Thread.Sleep(PauseMilliseconds);
        process.StandardInput.WriteLine(seconds.ToString(CultureInfo.InvariantCulture));
        var answer = process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"a child process ended while it was measured: {Complaint}");
        var sample = Perf.Sample.Parse(answer);
        measured += sample.Milliseconds.Sum() / 1000;
        rounds.Add(sample);
        return sample;
    }

    /// <summary>A further round, unless there is enough.</summary>
    public void MeasureMore(double seconds)
    {
        if (measured < LongEnough) Measure(seconds);
    }

    public void Dispose()
    {
        process.StandardInput.Close();
        process.WaitForExit();
        process.Dispose();
    }
}
