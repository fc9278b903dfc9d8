namespace FaceSearch.Tensors;

/// <summary>Opens the device that a setting names.</summary>
public static class Devices
{
    public const string Auto = "auto", CpuName = "cpu", Cuda = "cuda", Simulated = "simulated";

    /// <summary>What can be asked for: the best there is, the CPU, a CUDA GPU, or GPU kernels run on the CPU (for tests: slow).</summary>
    public static IReadOnlyList<string> Names { get; } = [Auto, CpuName, Cuda, Simulated];

    public const string Fp32 = "fp32", Bf16 = "bf16";

    /// <summary>The names of <see cref="Precision"/>.</summary>
    public static IReadOnlyList<string> Precisions { get; } = [Fp32, Bf16];

    /// <summary>
    /// A device that the caller disposes. Threads, instruction set and `exact` are the CPU's (<see cref="Cpu.Create"/>).
    /// Throws a <see cref="DeviceException"/> that says why there is none of that name, or none of that precision.
    /// </summary>
    public static Device Open(string name, int threads = 1, string? instructionSet = null, bool exact = false, string precision = Fp32)
    {
        CheckPrecision(name, precision);
        return Resolve(name) switch
        {
            Cuda => new Gpu(GpuAccelerator.Cuda) { Precision = Named(precision) },
            Simulated => new Gpu(GpuAccelerator.Simulated) { Precision = Named(precision) },
            _ => Cpu.Create(threads, instructionSet, exact),
        };
    }

    static Precision Named(string precision) => precision == Bf16 ? Precision.Bf16 : Precision.Fp32;

    /// <summary>Throws a <see cref="DeviceException"/> that says why the device of that name does not compute in that precision.</summary>
    public static void CheckPrecision(string name, string precision)
    {
        if (!Precisions.Contains(precision)) throw new DeviceException($"precision '{precision}' is none of {string.Join(", ", Precisions)}");
        if (precision == Fp32) return;
        string device = Resolve(name);
        string? why = device == CpuName ? "the CPU computes in fp32 alone" : (device == Cuda ? GpuAccelerator.Cuda : GpuAccelerator.Simulated).WhyNoStarter;
        if (why is not null) throw new DeviceException($"precision bf16 needs a GPU of compute capability 8.0 or newer: {why}; use --set Train.Precision=fp32");
    }

    /// <summary>The CUDA GPUs of this machine, in words; throws a <see cref="DeviceException"/> that says why there is none.</summary>
    public static IReadOnlyList<string> Gpus() => GpuAccelerator.DescribeCuda();

    /// <summary>The newest CUDA version that the NVIDIA driver speaks; null without a driver.</summary>
    public static Version? CudaVersion() => CudaDriver.DriverVersion();

    /// <summary>Why there is no simulated GPU, null where there is one. The first call takes a second.</summary>
    public static string? WhyNotSimulated()
    {
        try
        {
            return GpuAccelerator.Simulated is null ? "" : null;
        }
        catch (DeviceException e)
        {
            return e.Message;
        }
    }

    /// <summary>
    /// The device that `auto` stands for here: CUDA where there is a GPU, else the CPU. Other names are themselves.
    /// Throws a <see cref="DeviceException"/> for a device that is not there.
    /// </summary>
    public static string Resolve(string name)
    {
        if (!Names.Contains(name)) throw new DeviceException($"device '{name}' is none of {string.Join(", ", Names)}");
        if (name == Auto) return CudaDriver.WhyNot() is null ? Cuda : CpuName;
        if (name == Cuda && CudaDriver.WhyNot() is { } reason) throw new DeviceException($"there is no CUDA device: {reason}");
        if (name == Simulated && WhyNotSimulated() is { } missing) throw new DeviceException(missing);
        return name;
    }
}
