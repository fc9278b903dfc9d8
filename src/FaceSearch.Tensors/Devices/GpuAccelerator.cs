using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace FaceSearch.Tensors;

/// <summary>
/// One GPU as ILGPU sees it, with the kernels compiled for it so far: shared by all <see cref="Gpu"/> devices of the
/// process, so that a kernel is compiled once. Simulated: kernels run as compiled parallel code on the CPU through OpenCL.
/// </summary>
sealed class GpuAccelerator
{
    // Either is opened at most once; a reason why not is kept as well.
    static readonly Lazy<GpuAccelerator> cuda = new(OpenCuda), simulated = new(OpenSimulated);

    readonly ConcurrentDictionary<Type, Lazy<Delegate>> kernels = [];

    readonly CudaStarter? modules;

    GpuAccelerator(Accelerator accelerator)
    {
        Accelerator = accelerator;
        if (accelerator is CudaAccelerator cuda && CudaModules.WhyNot(cuda) is null) modules = new CudaModules(cuda);
    }

    /// <summary>The first CUDA device. Throws a <see cref="DeviceException"/> that says why there is none.</summary>
    public static GpuAccelerator Cuda => cuda.Value;
    /// <summary>PoCL's CPU device. Throws a <see cref="DeviceException"/> that says what is missing.</summary>
    public static GpuAccelerator Simulated => simulated.Value;

    public Accelerator Accelerator { get; }
    public bool IsCuda => Accelerator is CudaAccelerator;
    public string Name => IsCuda ? $"cuda ({Accelerator.Name})" : "simulated GPU (OpenCL on the CPU)";

    /// <summary>Of the whole GPU, and what is free of it now; the simulated one has all its memory free.</summary>
    public (long All, long Free) MemoryBytes => (Accelerator.MemorySize, Accelerator is CudaAccelerator cuda ? cuda.GetFreeMemory() : Accelerator.MemorySize);

    /// <summary>Runs the hand-written kernels of the simulated GPU. Tests set it: the program itself carries no emulator.</summary>
    public static CudaStarter? Emulator { get; set; }

    /// <summary>What starts hand-written kernels; null where there are none, and <see cref="WhyNoStarter"/> says why.</summary>
    public CudaStarter? Starter => IsCuda ? modules : Emulator;

    public string? WhyNoStarter => Starter is not null ? null : Accelerator is CudaAccelerator cuda ? CudaModules.WhyNot(cuda) : "the simulated GPU runs the tensor-core kernels in tests only";

    /// <summary>Where a buffer begins, as hand-written kernels take it.</summary>
    public static nint Address(MemoryBuffer buffer) => buffer.Accelerator is CudaAccelerator ? buffer.NativePtr : OpenCl.Address(buffer);

    /// <summary>The kernels used so far.</summary>
    public IEnumerable<Type> Kernels => kernels.Keys;

    /// <summary>Puts a kernel on a stream; compiles it first where that is its first use.</summary>
    public void Launch<K>(AcceleratorStream stream, KernelConfig config, K kernel) where K : struct, IKernel
    {
        var launch = (Action<AcceleratorStream, KernelConfig, K>)kernels.GetOrAdd(typeof(K), _ => new(() => Compile<K>())).Value;
        if (IsCuda)
        {
            launch(stream, config, kernel);
            return;
        }
        // An OpenCL kernel holds its arguments between setting them and starting it: one thread at a time.
        lock (kernels) launch(stream, config, kernel);
    }

    Action<AcceleratorStream, KernelConfig, K> Compile<K>() where K : struct, IKernel
    {
        // One at a time: a compiler's context is not made for more.
        lock (kernels)
        {
            Accelerator.Bind();
            var compiled = Ilgpu.Compile(Accelerator, EntryPoint(typeof(K)));
            return Accelerator.LoadKernel(compiled).CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, K>>();
        }
    }

    /// <summary>What ILGPU compiles for a kernel type: a static method that runs its one argument.</summary>
    public static EntryPointDescription EntryPoint(Type kernel) => EntryPointDescription.FromExplicitlyGroupedKernel(
        typeof(GpuAccelerator).GetMethod(nameof(Enter), BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(kernel));

    static void Enter<K>(K kernel) where K : struct, IKernel => kernel.Run();

    static GpuAccelerator OpenCuda() => new(CudaContext().CreateCudaAccelerator(0));

    static Context CudaContext()
    {
        if (CudaDriver.WhyNot() is { } reason) throw new DeviceException($"there is no CUDA device: {reason}");
        var context = Context.Create(builder => Ilgpu.Optimised(builder.Cuda()));
        return context.GetCudaDevices().Count > 0 ? context : throw new DeviceException("there is no CUDA device that can be used: it needs compute capability 3.0 or newer");
    }

    /// <summary>The CUDA devices, a line each. Throws as <see cref="Cuda"/> does.</summary>
    public static IReadOnlyList<string> DescribeCuda()
    {
        using var context = CudaContext();
        var lines = new List<string>();
        foreach (var device in context.GetCudaDevices())
            lines.Add(FormattableString.Invariant($"{device.Name}, {device.MemorySize / 1073741824.0:0.0} GiB, compute capability {device.Architecture?.Major}.{device.Architecture?.Minor}, {device.NumMultiprocessors} multiprocessors"));
        return lines;
    }

    static GpuAccelerator OpenSimulated()
    {
        GpuLibraries.LoadShim();
        // O2 as on CUDA; below, its OpenCL code has generic pointers, which PoCL refuses.
        var context = Context.Create(builder => Ilgpu.Optimised(builder.OpenCL(device => true)));
        foreach (var device in context.GetCLDevices())
            if (device.DeviceType == CLDeviceType.CL_DEVICE_TYPE_CPU) return new(device.CreateCLAccelerator(context));
        throw new DeviceException("the simulated GPU needs an OpenCL device on the CPU: apt-get install pocl-opencl-icd ocl-icd-libopencl1");
    }
}
