using System.Runtime.InteropServices;
using ILGPU.Runtime.OpenCL;

namespace FaceSearch.Tensors;

/// <summary>
/// Leads ILGPU's OpenCL calls to native/opencl/shim.c, which makes PoCL acceptable to it. The shim lies beside the program.
/// </summary>
static class OpenClShim
{
    const string File = "libfacesearch-opencl.so";

    static readonly Lock once = new();
    static nint library;

    /// <summary>Before anything else touches OpenCL. Throws a <see cref="DeviceException"/> that says what is missing.</summary>
    public static void Use()
    {
        lock (once)
        {
            if (library != 0) return;
            var path = Path.Combine(AppContext.BaseDirectory, File);
            if (!System.IO.File.Exists(path)) throw new DeviceException($"the simulated GPU needs {path}, which './build.sh native' makes from native/opencl/shim.c with a C compiler and libOpenCL.so.1");
            if (!NativeLibrary.TryLoad(path, out library)) throw new DeviceException($"the simulated GPU cannot load {path}: is libOpenCL.so.1 there (apt-get install ocl-icd-libopencl1 pocl-opencl-icd)?");
            NativeLibrary.SetDllImportResolver(typeof(CLDevice).Assembly, (name, _, _) => name.Contains("OpenCL", StringComparison.Ordinal) ? library : 0);
        }
    }
}
