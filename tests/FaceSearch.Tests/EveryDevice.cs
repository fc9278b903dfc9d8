using System.Reflection;
using FaceSearch.Tensors;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace FaceSearch.Tests;

/// <summary>
/// Gives a theory every fast device: the three instruction sets, one and several threads, the simulated GPU and, where there
/// is one, the real one, with poisoned memory. What this machine lacks is skipped by name.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EveryDeviceAttribute : DataAttribute
{
    /// <summary>False for what is said of CPUs alone.</summary>
    public bool Gpu { get; init; } = true;

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo method, DisposalTracker tracker) => new(
    [
        .. from set in Cpu.InstructionSets
           from threads in new[] { 1, 3 }
           select set.Supported
               ? new TheoryDataRow(set.Name, threads)
               : new TheoryDataRow(set.Name, threads) { Skip = $"this machine has no {set.Name}" },
        .. Gpu ? new[] { new TheoryDataRow(TestDevice.Simulated, 0) { Skip = TestDevice.WhyNoSimulatedGpu } } : [],
        .. Gpu && TestDevice.WhyNoCudaGpu is null ? new[] { new TheoryDataRow(TestDevice.Cuda, 0) } : [],
    ]);

    public override bool SupportsDiscoveryEnumeration() => true;
}

public static class TestDevice
{
    public const string Simulated = "simulated GPU", Cuda = "CUDA";

    /// <summary>Null where there is one.</summary>
    public static string? WhyNoSimulatedGpu { get; } = Tensors.Devices.WhyNotSimulated();
    public static string? WhyNoCudaGpu { get; } = CudaDriver.WhyNot();

    /// <summary>The simulated GPU with its tensor cores emulated, or the real one where its kernels are checked (<see cref="Kernels.OnGpu"/>). Skips the test where there is none.</summary>
    public static Gpu OpenBf16(bool hopper = false, int gradientFloats = 1 << 13, int logSumFloats = 1 << 22, bool replays = true)
    {
        if (Kernels.OnGpu.Wanted)
        {
            Kernels.OnGpu.SkipUnlessHopper(hopper);
            return new(GpuAccelerator.Cuda) { Poison = true, Precision = Precision.Bf16, Hopper = hopper, GradientFloats = gradientFloats, LogSumFloats = logSumFloats, Replays = replays };
        }
        Assert.SkipWhen(WhyNoSimulatedGpu is not null, WhyNoSimulatedGpu ?? "");
        Kernels.Emulator.SkipUnlessBuilt();
        return new(GpuAccelerator.Simulated) { Poison = true, Precision = Precision.Bf16, Hopper = hopper, GradientFloats = gradientFloats, LogSumFloats = logSumFloats, Replays = replays };
    }

    public static Device Open(string name, int threads, bool exact = false) => name switch
    {
        // So little memory for the head's gradients that it needs several tiles of classes.
        Simulated => new Gpu(GpuAccelerator.Simulated) { Poison = true, GradientFloats = 1 << 14 },
        Cuda => new Gpu(GpuAccelerator.Cuda) { Poison = true, GradientFloats = 1 << 14 },
        "AVX-512" => new Cpu<Avx512Lanes>(threads) { Poison = true, Exact = exact },
        "AVX2" => new Cpu<Avx2Lanes>(threads) { Poison = true, Exact = exact },
        _ => new Cpu<PortableLanes>(threads) { Poison = true, Exact = exact },
    };
}
