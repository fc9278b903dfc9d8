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
    readonly List<(int? Core, Sample Sample)> rounds = [];
    double measured;
    volatile bool late;

    ChildProcess(ProcessStartInfo start)
    {
        (start.RedirectStandardInput, start.RedirectStandardOutput, start.RedirectStandardError) = (true, true, true);
        process = Process.Start(start)!;
        process.ErrorDataReceived += (_, line) => Complaint = line.Data is { Length: > 0 } text && Complaint.Length == 0 ? text : Complaint;
        process.BeginErrorReadLine();
    }

    /// <summary>The first line the process wrote to its error stream.</summary>
    public string Complaint { get; private set; } = "";

    /// <summary>The process is gone before it was asked to; the system may have taken its memory back.</summary>
    public bool Ended { get; private set; }

    /// <summary>All rounds so far as one: those on the core where they were shortest.</summary>
    public Sample Sample => !Ended
        ? rounds.GroupBy(r => r.Core, r => r.Sample).Select(core => Perf.Sample.Join([.. core])).MinBy(s => s.At(0.5))!
        : throw new InvalidOperationException($"a process ended while it was measured: {Complaint}");

    /// <summary>Our side of a case, warm.</summary>
    public static ChildProcess Ours(Case one, int threads) =>
        Start(Self(Verb, one.Name, threads.ToString(CultureInfo.InvariantCulture)))
        ?? throw new InvalidOperationException($"our side of {one.Name} ended before it was ready; try: ./build.sh perf {one.Name} --no-peer");

    /// <summary>The process, warm; null if it ended before that.</summary>
    public static ChildProcess? Start(ProcessStartInfo start) => Begin(start).WhenReady();

    /// <summary>The process, getting warm while others do.</summary>
    public static ChildProcess Begin(ProcessStartInfo start) => new(start);

    /// <summary>Itself, warm; null, having said why, if it ended before that, or was ended because it was not ready in time.</summary>
    public ChildProcess? WhenReady(TimeSpan? patience = null)
    {
        using var deadline = patience is { } limit ? new Timer(_ => Kill(), null, limit > TimeSpan.Zero ? limit : TimeSpan.Zero, Timeout.InfiniteTimeSpan) : null;
        if (process.StandardOutput.ReadLine() is not null) return this;
        process.WaitForExit();
        Console.Error.WriteLine($"{string.Join(' ', process.StartInfo.ArgumentList.Prepend(Path.GetFileName(process.StartInfo.FileName)))} ended with {process.ExitCode}: {(late ? "out of time" : Complaint)}");
        Ended = true;
        Dispose();
        return null;
    }

    void Kill()
    {
        late = true;
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It ended by itself.
        }
    }

    /// <summary>How to start this program again with other arguments.</summary>
    public static ProcessStartInfo Self(params string[] arguments)
    {
        var program = Environment.GetCommandLineArgs()[0];
        return new(Environment.ProcessPath!, Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [program, .. arguments] : arguments);
    }

    /// <summary>One round of steps, on this core where one is named; null if the process has ended.</summary>
    public Sample? Measure(double seconds, int? core = null)
    {
        if (core is { } one) Cores.Bind(process, one);
        Thread.Sleep(PauseMilliseconds);
        string? answer = null;
        try
        {
            process.StandardInput.WriteLine(seconds.ToString(CultureInfo.InvariantCulture));
            answer = process.StandardOutput.ReadLine();
        }
        catch (IOException)
        {
            // The pipe of a process that is gone: no answer.
        }
        if (answer is null)
        {
            Ended = true;
            process.WaitForExit();
            return null;
        }
        var sample = Perf.Sample.Parse(answer);
        measured += sample.Milliseconds.Sum() / 1000;
        rounds.Add((core, sample));
        return sample;
    }

    /// <summary>A further round, unless there is enough.</summary>
    public void MeasureMore(double seconds, int? core = null)
    {
        if (Ended || measured >= LongEnough) return;
        Measure(seconds, core);
    }

    public void Dispose()
    {
        if (!Ended) process.StandardInput.Close();
        process.WaitForExit();
        process.Dispose();
    }
}
