using System.Runtime.InteropServices;
using ILGPU.Runtime.OpenCL;

namespace FaceSearch.Tensors;

/// <summary>
/// Where the native libraries of GPUs are found: the CUDA driver by the name that every installation has (libcuda.so.1; the
/// plain one belongs to development packages), OpenCL through native/opencl/shim.c, which makes PoCL acceptable to ILGPU.
/// </summary>
static class GpuLibraries
{
    const string Shim = "libfacesearch-opencl.so";

    static readonly Lock once = new();
    static bool installed;
    static nint shim;

    /// <summary>Before the first call of either library.</summary>
    public static void Install()
    {
        lock (once)
        {
            if (installed) return;
            installed = true;
            NativeLibrary.SetDllImportResolver(typeof(CLDevice).Assembly, Find);
            NativeLibrary.SetDllImportResolver(typeof(GpuLibraries).Assembly, Find);
        }
    }

    /// <summary>Throws a <see cref="DeviceException"/> that says what the simulated GPU lacks.</summary>
    public static void LoadShim()
    {
        Install();
        lock (once)
        {
            if (shim != 0) return;
            // Beside the program, or where a single file unpacks its libraries.
            if (!NativeLibrary.TryLoad(Shim, typeof(GpuLibraries).Assembly, null, out shim))
                throw new DeviceException($"the simulated GPU needs {Shim} beside the program, which './build.sh native' makes with a C compiler, and OpenCL: apt-get install pocl-opencl-icd ocl-icd-libopencl1");
        }
    }

    /// 0: the runtime looks where it always does.
    static nint Find(string name, System.Reflection.Assembly assembly, DllImportSearchPath? path) => name switch
    {
        "OpenCL" => shim,
        "cuda" when OperatingSystem.IsLinux() => NativeLibrary.TryLoad("libcuda.so.1", out nint driver) ? driver : 0,
        _ => 0,
    };
}
