using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace FaceSearch.Tests.Cli;

/// <summary>What a run of the program left: exit code and both outputs.</summary>
sealed record Finished(int Code, string Out, string Error)
{
    public string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>It ended with that code, and whatever it said was for people: no stack trace.</summary>
    public Finished Ended(int code)
    {
        Assert.True(Code == code, $"exit code {Code}, expected {code}\n{Out}\n{Error}");
        Assert.DoesNotContain("   at ", Error);
        Assert.DoesNotContain("Unhandled", Error);
        return this;
    }

    /// <summary>An error that the user can put right, told in one line with all these words.</summary>
    public void Refused(params string[] words)
    {
        Ended(1);
        Assert.StartsWith("error: ", Error);
        Assert.Single(Error.Trim().Split('\n'));
        foreach (var word in words) Assert.Contains(word, Error);
    }
}

/// <summary>The built program in a folder of its own, run as its users run it.</summary>
sealed class Facesearch : IDisposable
{
    static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    /// <summary>Settings of a search that takes seconds.</summary>
    public static readonly string[] Tiny = [.. new[]
    {
        "Data.SynthIdentities=24", "Data.SynthImages=8", "Data.Size=16", "Data.Margin=2", "Data.HoldOutPairs=40", "Net.Embedding=16",
        "Train.Batch=16", "Train.Budget=0.004", "Clean.TeacherBudget=0.002", "Study.Trials=4", "Study.Finalists=1", "Study.FinalSeeds=1",
    }.SelectMany(set => new[] { "--set", set })];

    public string Folder { get; } = Directory.CreateTempSubdirectory("facesearch-test-").FullName;

    /// <summary>Variables beside those of this process.</summary>
    public Dictionary<string, string> Variables { get; } = [];

    /// <summary>What to run in place of the program as it was built: one that was published, or a script.</summary>
    public string? Published { get; init; }

    public string In(string name) => Path.Combine(Folder, name);

    public Finished Run(params string[] args) => Wait(Start(args));

    /// <summary>Runs it until a line of its output contains the text, sends the signal, and waits for the end.</summary>
    public Finished RunUntil(string text, int signal, params string[] args)
    {
        var process = Start(args);
        var seen = new List<string>();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            seen.Add(line);
            if (!line.Contains(text, StringComparison.Ordinal)) continue;
            Assert.Equal(0, Kill(process.Id, signal));
            break;
        }
        var end = Wait(process);
        return end with { Out = string.Join('\n', seen) + "\n" + end.Out };
    }

    Process Start(string[] args)
    {
        var start = new ProcessStartInfo(Published ?? (Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } host ? host : "dotnet"))
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Folder,
        };
        if (Published is null) start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "facesearch.dll"));
        foreach (var arg in args) start.ArgumentList.Add(arg);
        start.Environment["FACESEARCH_CACHE"] = In("cache");
        foreach (var (name, value) in Variables) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    static Finished Wait(Process process)
    {
        using (process)
        {
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEndAsync();
            if (!process.WaitForExit(Patience))
            {
                process.Kill(entireProcessTree: true);
                Assert.Fail($"not finished after {Patience}: {output.Result}{error.Result}");
            }
            process.WaitForExit();
            return new(process.ExitCode, output.Result, error.Result);
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    static extern int Kill(int process, int signal);

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
