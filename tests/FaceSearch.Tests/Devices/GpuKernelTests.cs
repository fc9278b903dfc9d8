using System.Text.RegularExpressions;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>Every kernel, compiled for a Hopper GPU without one.</summary>
public class GpuKernelTests
{
    public static TheoryData<string> Kernels => [.. GpuKernelList.All.Select(Name)];

    static string Name(Type type) => type.IsGenericType ? $"{type.Name[..type.Name.IndexOf('`')]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>" : type.Name;

    static Type Find(string name) => GpuKernelList.All.Single(t => Name(t) == name);

    [Theory, MemberData(nameof(Kernels))]
    public void CompilesToCleanPtx(string name)
    {
        var ptx = Ilgpu.CompilePtx(Find(name), 9, 0);
        Assert.DoesNotContain("bra.uni", ptx);
        // ILGPU stops at 8.0; the driver compiles it for what is there.
        Assert.Contains(".target sm_80", ptx);
        Assert.Single(Regex.Matches(ptx, @"\.visible \.entry"));
        // Nothing spilled by construction, nothing called, no atomic whose order would decide a digit.
        Assert.DoesNotContain(".local", ptx);
        Assert.DoesNotContain("call", ptx);
        Assert.DoesNotMatch(@"\b(atom|red)\.", ptx);
    }

    [Theory, MemberData(nameof(Kernels))]
    public void HostAndKernelAgreeOnTheLayout(string name)
    {
        foreach (var (field, nested, flat) in GpuKernelList.Layout(Find(name), cuda: true).Concat(GpuKernelList.Layout(Find(name), cuda: false)))
            Assert.True(nested == flat, $"{field} lies at {nested} and would lie at {flat} without the padding before it");
    }
}
