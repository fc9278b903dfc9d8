using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Cli;

/// <summary>What `./build.sh gpu-bundle` makes, unpacked: once for all tests of the class.</summary>
public sealed class Bundle : IDisposable
{
    readonly string folder = Directory.CreateTempSubdirectory("facesearch-bundle-").FullName;

    /// <summary>Why nothing can be published here; null where it can.</summary>
    public string? WhyNot { get; }
    public long Bytes { get; }
    public string Inside => Path.Combine(folder, "facesearch-gpu");

    public Bundle()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            WhyNot = "publishing is set up for Linux on x64";
            return;
        }
        var (code, log) = Run(Path.Combine(Emulator.Folder, "../build.sh"), "gpu-bundle", folder);
        // What NuGet and the SDK say where a registry does not have, or does not answer for, the runtime to publish with.
        if (code != 0 && Regex.Match(log, @"(NU1100|NU1101|NU1102|NU1301|NETSDK1112)[^\n]*") is { Success: true } lacking) WhyNot = "nothing can be published: " + lacking.Value;
        else Assert.True(code == 0, log);
        if (WhyNot is not null) return;
        var tar = Path.Combine(folder, "facesearch-gpu.tar.gz");
        Bytes = new FileInfo(tar).Length;
        (code, log) = Run("tar", "-C", folder, "-xf", tar);
        Assert.True(code == 0, log);
    }

    static (int Code, string Log) Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd() + error.Result;
        process.WaitForExit();
        return (process.ExitCode, output);
    }

    public void Dispose() => Directory.Delete(folder, recursive: true);
}

/// <summary>
/// What leaves this machine: the trimmed file for machines without the SDK, and the bundle for those that have a GPU (perf/gpu), both
/// run as there, without a GPU and on the fake CUDA driver.
/// </summary>
public sealed class PublishedTests(Bundle bundle) : IClassFixture<Bundle>
{
    // Never reached: a dry run is short by what it leaves out, however slow the machine.
    const string Seconds = "4000";

    Facesearch Program(string file = "facesearch", bool fakeGpu = false)
    {
        Assert.SkipWhen(bundle.WhyNot is not null, bundle.WhyNot ?? "");
        var driver = Path.Combine(AppContext.BaseDirectory, "fake-cuda");
        if (fakeGpu) Assert.SkipUnless(File.Exists(Path.Combine(driver, "libcuda.so.1")), "no C compiler made native/bin/fake-cuda/libcuda.so.1");
        else if (file == "run.sh") Assert.SkipUnless(TestDevice.WhyNoCudaGpu is not null, "this machine has a CUDA GPU: run the bundle itself");
        var program = new Facesearch { Published = Path.Combine(bundle.Inside, file) };
        program.Variables["DOTNET_BUNDLE_EXTRACT_BASE_DIR"] = program.In("unpacked");
        program.Variables["FACESEARCH_GPU_SECONDS"] = Seconds;
        program.Variables["FACESEARCH_GPU_SMALL"] = "1";
        if (!fakeGpu) return program;
        program.Variables["LD_LIBRARY_PATH"] = driver;
        program.Variables["FAKE_CUDA_LOG"] = program.In("cuda.log");
        return program;
    }

    [Fact]
    public void TheBundleCanBeCarried()
    {
        Assert.SkipWhen(bundle.WhyNot is not null, bundle.WhyNot ?? "");
        Assert.InRange(bundle.Bytes, 1, 55L << 20);
    }

    [Fact]
    public void ThePublishedFileTellsOfItsDevices()
    {
        using var program = Program();
        string told = program.Run("doctor").Ended(0).Out;
        Assert.Contains(TestDevice.WhyNoCudaGpu is { } why ? $"there is no CUDA device: {why}" : "the NVIDIA driver speaks", told);
        Assert.Equal(TestDevice.WhyNoSimulatedGpu is null, told.Contains("simulated: GPU kernels run on the CPU"));
    }

    [Fact]
    public void ThePublishedFileFindsAGpu()
    {
        using var program = Program(fakeGpu: true);
        string told = program.Run("doctor").Ended(0).Out;
        Assert.Contains("Fake Hopper, 80.0 GiB, compute capability 9.0", told);
        Assert.Contains("auto is cuda here", told);
        Assert.Contains("launch ", File.ReadAllText(program.In("cuda.log")));
    }

    [Fact]
    public void ThePublishedFileTrains()
    {
        using var program = Program();
        foreach (var device in TestDevice.WhyNoSimulatedGpu is null ? new[] { "cpu", "simulated" } : ["cpu"])
            program.Run(["train", "--device", device, "--runs", program.In(device), .. Facesearch.Tiny]).Ended(0);
    }

    /// A search in the place of one on the GPU, which runs no kernel here: the program on the CPU, or what a script makes of it.
    static (Finished Run, string[] Row) Race(Facesearch program, string seconds, string script)
    {
        File.WriteAllText(program.In("search.sh"), "#!/bin/sh\n" + script);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(program.In("search.sh"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var run = program.Run("gpu", "search", seconds, program.In("results"), program.In("search.sh"));
        var rows = program.In("results/fake-hopper.csv");
        return (run, File.Exists(rows) ? File.ReadAllLines(rows)[^1].Split(',') : []);
    }

    [Fact]
    public void TheSearchOnTheGpuIsSetAgainstTwoThreadsOfTheCpu()
    {
        using var program = Program("facesearch-perf", fakeGpu: true);
        var (run, row) = Race(program, Seconds, $"exec '{Path.Combine(bundle.Inside, "facesearch")}' $(echo \"$@\" | sed 's/--device cuda --set Train.Precision=bf16/--device cpu/')");
        Assert.Matches(@"^search: \d+ trials an hour on the GPU; \d+ on 2 threads of the CPU: \d+\.\d times as many$", run.Ended(0).Lines[^1]);
        Assert.Equal("gpu-search", row[3]);
        double ours = double.Parse(row[5], CultureInfo.InvariantCulture), peer = double.Parse(row[13], CultureInfo.InvariantCulture), ratio = double.Parse(row[18], CultureInfo.InvariantCulture);
        Assert.Equal("cpu 2 threads", row[14]);
        Assert.Equal(peer / ours, ratio, 1e-3);
        Assert.Contains("| gpu-search |", program.Run("gpu", "table", program.In("results")).Ended(0).Out);
    }

    [Fact]
    public void ACpuThatIsLateIsLeftOutAndAGpuThatFailsIsNot()
    {
        using var program = Program("facesearch-perf", fakeGpu: true);
        const string gpu = "case \"$*\" in *'--device cuda'*) ";
        var (failed, none) = Race(program, Seconds, gpu + "exit 3;; esac");
        Assert.Equal("no figure: the search on the GPU did not come to its end", failed.Ended(1).Lines[^1]);
        Assert.Empty(none);
        var (late, row) = Race(program, "2", gpu + "echo best=1 baseline=1 trials=4 seconds=1; exit 0;; esac; exec sleep 60");
        Assert.EndsWith("on 2 threads of the CPU it was not done in what was left of the time", late.Ended(0).Lines[^1]);
        Assert.Equal(("gpu-search", "", ""), (row[3], row[13], row[18]));
    }

    static string Result(Finished run, string part) => run.Lines.Last(l => l.StartsWith(part + " ", StringComparison.Ordinal))[part.Length..].Trim();

    [Fact]
    public void WithoutAGpuTheBundleSaysWhatItLeavesOut()
    {
        using var program = Program("run.sh");
        var run = program.Run("out").Ended(0);
        foreach (var part in new[] { "environment", "ptx", "ptxas", "memcheck", "racecheck", "benchmarks", "search" })
            Assert.StartsWith($"left out  there is no CUDA device: {TestDevice.WhyNoCudaGpu}", Result(run, part));
        if (TestDevice.WhyNoSimulatedGpu is not null && !Emulator.IsBuilt) return;
        Assert.StartsWith("ok", Result(run, "correctness"));
        string[] checks = File.ReadAllLines(program.In("out/correctness.csv"));
        Assert.Equal(Emulator.IsBuilt, checks.Any(c => Regex.IsMatch(c, @"^\w+KernelTests,.*,passed,")));
        Assert.Equal(TestDevice.WhyNoSimulatedGpu is null, checks.Any(c => Regex.IsMatch(c, @"^AddTests,.*,passed,")));
    }

    [Fact]
    public void OnAGpuTheBundleGoesThroughEveryPartAndFindsWhatIsWrong()
    {
        using var program = Program("run.sh", fakeGpu: true);
        // No kernel runs there, so what the GPU computes is wrong, and a search of it ends without a result.
        var run = program.Run("out").Ended(1);
        Assert.StartsWith("ok", Result(run, "environment"));
        Assert.Contains("Fake Hopper", Result(run, "environment"));
        Assert.StartsWith("FAILED", Result(run, "correctness"));
        Assert.StartsWith("ok", Result(run, "ptx"));
        Assert.StartsWith("ok", Result(run, "benchmarks"));
        Assert.Contains("some part failed", run.Out);

        string[] launches = [.. File.ReadLines(program.In("cuda.log")).Where(l => l.StartsWith("launch ", StringComparison.Ordinal))];
        string[] checks = File.ReadAllLines(program.In("out/correctness.csv"));
        Assert.Contains(checks, c => Regex.IsMatch(c, @"^AddTests,.*,failed,"));
        if (Tensors.CudaKernels.Sources.Length == 0) return;
        Assert.Contains(checks, c => Regex.IsMatch(c, @"^Conv2dKernelTests,.*,failed,"));
        Assert.Contains(File.ReadLines(program.In("out/ptx.csv")), l => l.StartsWith("MatMul.Hopper,matmul_nt_f32_hopper,", StringComparison.Ordinal));
        Assert.Contains(launches, l => l.StartsWith("launch conv2d_forward", StringComparison.Ordinal));
        Assert.Contains(launches, l => l.StartsWith("launch matmul_nt_f32_hopper@", StringComparison.Ordinal) && l.Contains(" shared="));

        string[] rows = File.ReadAllLines(program.In("out/results/fake-hopper.csv"));
        string[] names = rows[0].Split(','), first = rows[1].Split(',');
        string Field(string name) => first[Array.IndexOf(names, name)];
        Assert.Equal("gpu-gemm", Field("case"));
        Assert.NotEmpty(Field("ours_ms"));
        // A peer that is not there leaves its fields empty.
        foreach (var name in new[] { "peer_best_ms", "peer_usual_ms", "ratio_best", "ratio_usual" }) Assert.Empty(Field(name));
    }
}
