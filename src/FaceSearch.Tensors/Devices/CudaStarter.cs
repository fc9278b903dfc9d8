using System.Collections.Concurrent;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace FaceSearch.Tensors;

/// <summary>
/// What starts the hand-written kernels (kernels/*.cu) of one accelerator: the CUDA driver (<see cref="CudaModules"/>), or for the
/// simulated GPU what tests hand in (<see cref="GpuAccelerator.Emulator"/>).
/// </summary>
abstract unsafe class CudaStarter
{
    /// <summary>Whether kernels/*.Hopper.cu run here.</summary>
    public abstract bool IsHopper { get; }

    /// <summary>Puts a kernel with its argument struct on a stream. Throws a <see cref="DeviceException"/> where it cannot start.</summary>
    public abstract void Start(AcceleratorStream stream, in CudaLaunch launch, void* argument, int bytes);

    /// <summary>The 128 bytes of a tensor map, as this starter's kernels read them; `map` lies on a boundary of 64.</summary>
    public abstract void Encode(TensorMapPlan plan, void* map);
}

/// <summary>Hand-written kernels on CUDA: a source becomes a module of ILGPU's context at its first use, once in a process.</summary>
sealed unsafe class CudaModules(CudaAccelerator accelerator) : CudaStarter
{
    readonly ConcurrentDictionary<string, Lazy<nint>> modules = [];
    readonly ConcurrentDictionary<(string, int), Lazy<nint>> functions = [];

    public override bool IsHopper => accelerator.Architecture is { Major: 9, Minor: 0 };

    /// <summary>Why an accelerator has none of these kernels, in words; null where it has.</summary>
    public static string? WhyNot(CudaAccelerator accelerator) =>
        accelerator.Architecture.Major < 8 ? $"the tensor-core kernels need compute capability 8.0, and this GPU has {accelerator.Architecture.Major}.{accelerator.Architecture.Minor}"
        : CudaKernels.Ptx("MatMul") is null ? "this program was built without clang 19, so it has no tensor-core kernels: apt-get install clang-19, then build again" : null;

    public override void Start(AcceleratorStream stream, in CudaLaunch launch, void* argument, int bytes)
    {
        var what = launch;
        accelerator.Bind();
        nint function = functions.GetOrAdd((launch.Kernel, launch.SharedBytes), _ => new(() => CudaDriver.Function(Module(what.Source), what))).Value;
        CudaDriver.Start(function, launch, ((CudaStream)stream).StreamPtr, argument, bytes);
    }

    nint Module(string source) => modules.GetOrAdd(source, _ => new(() =>
        CudaDriver.LoadModule(CudaKernels.Ptx(source) ?? throw new DeviceException($"this program was built without kernels/{source}.cu"), $"kernels/{source}.cu for {CudaKernels.Target(source)}"))).Value;

    public override void Encode(TensorMapPlan plan, void* map) => CudaDriver.Encode(plan, map);
}
