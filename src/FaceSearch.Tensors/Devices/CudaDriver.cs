using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>The few calls of the CUDA driver that ILGPU does not make.</summary>
static partial class CudaDriver
{
    const string Library = "cuda";

    [LibraryImport(Library, EntryPoint = "cuInit")] private static partial int Init(uint flags);
    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")] private static partial int GetVersion(out int version);
    [LibraryImport(Library, EntryPoint = "cuDeviceGetCount")] private static partial int GetCount(out int count);

    /// <summary>The newest CUDA version the driver speaks, such as 13.0; null where there is no driver.</summary>
    public static Version? DriverVersion()
    {
        GpuLibraries.Install();
        try { return GetVersion(out int version) == 0 ? new(version / 1000, version % 1000 / 10) : null; }
        catch (DllNotFoundException) { return null; }
    }

    /// <summary>Why no CUDA device can be used, in words; null where one can.</summary>
    public static string? WhyNot()
    {
        GpuLibraries.Install();
        try
        {
            int status = Init(0);
            if (status != 0) return $"the driver does not start (cuInit returned {status}{(status is 100 ? ": no GPU is visible; is CUDA_VISIBLE_DEVICES empty?" : "")})";
            return GetCount(out int count) != 0 || count == 0 ? "the driver sees no GPU" : null;
        }
        catch (DllNotFoundException)
        {
            return "the NVIDIA driver is not installed (no libcuda.so.1)";
        }
    }
}
