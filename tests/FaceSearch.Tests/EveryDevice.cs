using System.Reflection;
using FaceSearch.Tensors;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace FaceSearch.Tests;

/// <summary>
/// Gives a theory every fast device: the three instruction sets, one and several threads, with poisoned memory.
/// What this machine lacks is skipped by name.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class EveryDeviceAttribute : DataAttribute
{
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo method, DisposalTracker tracker) => new(
    [
        .. from set in Cpu.InstructionSets
           from threads in new[] { 1, 3 }
           select set.Supported
               ? new TheoryDataRow(set.Name, threads)
               : new TheoryDataRow(set.Name, threads) { Skip = $"this machine has no {set.Name}" },
    ]);

    public override bool SupportsDiscoveryEnumeration() => true;
}

public static class TestDevice
{
    public static Device Open(string instructionSet, int threads, bool exact = false) => instructionSet switch
    {
        "AVX-512" => new Cpu<Avx512Lanes>(threads) { Poison = true, Exact = exact },
        "AVX2" => new Cpu<Avx2Lanes>(threads) { Poison = true, Exact = exact },
        _ => new Cpu<PortableLanes>(threads) { Poison = true, Exact = exact },
    };
}
