using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using FaceSearch.Tensors;

namespace FaceSearch.Perf.Micro;

/// <summary>Single ops, one thread, with BenchmarkDotNet; in this process, since the program it would generate cannot see inside the engine.</summary>
static class MicroBenchmarks
{
    public static int Run(string[] filter)
    {
        var config = ManualConfig.Create(DefaultConfig.Instance)
            .AddJob(Job.ShortRun.WithToolchain(new InProcessNoEmitToolchain(new())))
            .AddDiagnoser(MemoryDiagnoser.Default);
        string[] patterns = [.. filter.Select(word => $"*{word}*").DefaultIfEmpty("*")];
        var summaries = BenchmarkSwitcher.FromAssembly(typeof(MicroBenchmarks).Assembly).Run(["--filter", .. patterns], config);
        return summaries.Any() ? 0 : 2;
    }
}

/// <summary>A device and free-standing tensors.</summary>
public abstract class MicroBenchmark
{
    protected Device Device { get; } = Cpu.Create();

    protected Tensor Normal(Shape shape, ulong stream) => Device.From(shape, Values.Normal(shape, stream));

    [GlobalCleanup]
    public void Cleanup() => Device.Dispose();
}
