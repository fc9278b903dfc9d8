using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace FaceSearch.Tensors;

/// <summary>
/// Everything that relies on the inside of ILGPU 1.5.3, whose version is therefore pinned.
/// </summary>
static class Ilgpu
{
    static readonly FieldInfo ptxText = typeof(PTXCompiledKernel).GetField("<PTXAssembly>k__BackingField", BindingFlags.NonPublic | BindingFlags.Instance)
        ?? throw new MissingFieldException(nameof(PTXCompiledKernel), nameof(PTXCompiledKernel.PTXAssembly));

    // ILGPU transforms the methods of a kernel in parallel, and now and then one reads what another is replacing
    // (a null reference in GetField.ComputeType). Its loops keep to the scheduler that they are started on.
    static readonly TaskScheduler oneThread = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;

    static T OnOneThread<T>(Func<T> compile) => Task.Factory.StartNew(compile, CancellationToken.None, TaskCreationOptions.None, oneThread).GetAwaiter().GetResult();

    /// <summary>One function a kernel: ILGPU leaves calls of larger methods standing, and passes structs to them through memory.</summary>
    public static Context.Builder Optimised(Context.Builder builder) => builder.Optimize(OptimizationLevel.O2).Inlining(InliningMode.Aggressive);

    /// <summary>Compiles a kernel for its accelerator. PTX is corrected (<see cref="Corrected"/>) before the driver sees it.</summary>
    public static CompiledKernel Compile(Accelerator accelerator, EntryPointDescription entry)
    {
        if (accelerator is not CudaAccelerator cuda) return OnOneThread(() => ((CLAccelerator)accelerator).Backend.Compile(entry, default));
        var kernel = (PTXCompiledKernel)OnOneThread(() => cuda.Backend.Compile(entry, default));
        ptxText.SetValue(kernel, Corrected(kernel.PTXAssembly));
        return kernel;
    }

    /// <summary>
    /// At O2, ILGPU marks branches as uniform (`bra.uni`) that threads of a warp take differently, which PTX leaves undefined.
    /// A plain `bra` is right for both kinds, and the driver's compiler finds the uniform ones itself.
    /// </summary>
    public static string Corrected(string ptx) => ptx.Replace("bra.uni", "bra", StringComparison.Ordinal);

    /// <summary>PTX of a kernel for a compute capability, without a device or a driver.</summary>
    public static string CompilePtx(Type kernel, int major, int minor)
    {
        // A context of its own: after an error ILGPU's context compiles nothing more.
        using var context = Context.Create(builder => Optimised(builder));
        var architecture = new CudaArchitecture(major, minor);
        if (!CudaAccelerator.TryGetInstructionSet(architecture, CudaDriverVersion.FromMajorMinor(13, 0), out _, out var instructions))
            throw new NotSupportedException($"ILGPU knows no instruction set for compute capability {major}.{minor}");
        using var backend = new PTXBackend(context, new CudaCapabilityContext(architecture), architecture, instructions, null!);
        return Corrected(((PTXCompiledKernel)OnOneThread(() => backend.Compile(GpuAccelerator.EntryPoint(kernel), default))).PTXAssembly);
    }
}
