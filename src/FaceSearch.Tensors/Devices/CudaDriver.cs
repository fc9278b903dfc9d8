using System.Runtime.InteropServices;
using System.Text;

namespace FaceSearch.Tensors;

/// <summary>
/// The few calls of the CUDA driver that ILGPU does not make, and all that the hand-written kernels need of it: whoever has ManagedCuda
/// can put it in this file's place. Names and numbers are cuda.h's.
/// </summary>
static unsafe partial class CudaDriver
{
    const string Library = "cuda";
    const int MaxDynamicSharedBytes = 8, BFloat16 = 9, Swizzle128Bytes = 3, L2Promotion128Bytes = 2;
    const nint ParameterBuffer = 1, ParameterBytes = 2;

    [LibraryImport(Library, EntryPoint = "cuInit")] private static partial int Init(uint flags);
    [LibraryImport(Library, EntryPoint = "cuDriverGetVersion")] private static partial int GetVersion(out int version);
    [LibraryImport(Library, EntryPoint = "cuDeviceGetCount")] private static partial int GetCount(out int count);

    [LibraryImport(Library, EntryPoint = "cuModuleLoadData")] private static partial int LoadData(out nint module, byte* image);
    [LibraryImport(Library, EntryPoint = "cuModuleGetFunction", StringMarshalling = StringMarshalling.Utf8)] private static partial int GetFunction(out nint function, nint module, string name);
    [LibraryImport(Library, EntryPoint = "cuFuncSetAttribute")] private static partial int SetAttribute(nint function, int attribute, int value);
    [LibraryImport(Library, EntryPoint = "cuGetErrorString")] private static partial int GetErrorString(int status, out byte* text);
    [LibraryImport(Library, EntryPoint = "cuLaunchKernel")]
    private static partial int Launch(nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream, nint parameters, nint* extra);
    [LibraryImport(Library, EntryPoint = "cuTensorMapEncodeTiled")]
    private static partial int EncodeTiled(void* map, int type, uint rank, nint address, ulong* sizes, ulong* pitches, uint* box, uint* strides, int interleave, int swizzle, int promotion, int fill);
    [LibraryImport(Library, EntryPoint = "cuTensorMapEncodeIm2col")]
    private static partial int EncodeIm2col(void* map, int type, uint rank, nint address, ulong* sizes, ulong* pitches, int* lower, int* upper, uint channels, uint pixels, uint* strides, int interleave, int swizzle, int promotion, int fill);

    /// <summary>Loads PTX into the current context; the module stays for the life of the process.</summary>
    public static nint LoadModule(string ptx, string what)
    {
        fixed (byte* image = Encoding.UTF8.GetBytes(ptx + '\0'))
        {
            Check(LoadData(out nint module, image), $"to compile {what} (cuModuleLoadData); a newer driver may");
            return module;
        }
    }

    /// <summary>A module's kernel, which may have that much dynamic shared memory.</summary>
    public static nint Function(nint module, in CudaLaunch launch)
    {
        Check(GetFunction(out nint function, module, launch.Kernel), $"to find {launch.Kernel} of kernels/{launch.Source}.cu (cuModuleGetFunction)");
        if (launch.SharedBytes > CudaLaunch.QuietSharedBytes)
            Check(SetAttribute(function, MaxDynamicSharedBytes, launch.SharedBytes), $"to give {launch.Kernel} {launch.SharedBytes >> 10} KiB of shared memory (cuFuncSetAttribute)");
        return function;
    }

    /// <summary>Puts a kernel with its one argument, a struct of so many bytes, on a stream.</summary>
    public static void Start(nint function, in CudaLaunch launch, nint stream, void* argument, int bytes)
    {
        nint size = bytes;
        nint* extra = stackalloc nint[] { ParameterBuffer, (nint)argument, ParameterBytes, (nint)(&size), 0 };
        Check(Launch(function, (uint)launch.GridX, (uint)launch.GridY, (uint)launch.GridZ, (uint)launch.Threads, 1, 1, (uint)launch.SharedBytes, stream, 0, extra),
            $"to start {launch.Kernel} with {launch.GridX}×{launch.GridY}×{launch.GridZ} blocks of {launch.Threads} threads (cuLaunchKernel)");
    }

    /// <summary>Makes the 128 bytes of a tensor map; `map` lies on a boundary of 64.</summary>
    public static void Encode(TensorMapPlan plan, void* map)
    {
        if (plan.Gather is { } gather)
        {
            Encode(plan, gather, map);
            return;
        }
        ulong* sizes = stackalloc ulong[] { (ulong)plan.Width, (ulong)plan.Height }, pitches = stackalloc ulong[] { (ulong)plan.PitchBytes };
        uint* box = stackalloc uint[] { TensorMapPlan.Box, TensorMapPlan.Box }, strides = stackalloc uint[] { 1, 1 };
        Check(EncodeTiled(map, BFloat16, 2, plan.Address, sizes, pitches, box, strides, 0, Swizzle128Bytes, L2Promotion128Bytes, 0), $"a tensor map of {plan} (cuTensorMapEncodeTiled)");
    }

    static void Encode(TensorMapPlan plan, PixelGather gather, void* map)
    {
        ulong row = (ulong)plan.PitchBytes * (ulong)gather.Width;
        ulong* sizes = stackalloc ulong[] { (ulong)plan.Width, (ulong)gather.Width, (ulong)gather.Height, (ulong)gather.Images };
        ulong* pitches = stackalloc ulong[] { (ulong)plan.PitchBytes, row, row * (ulong)gather.Height };
        int* lower = stackalloc int[] { gather.LowerCorner.Width, gather.LowerCorner.Height }, upper = stackalloc int[] { gather.UpperCorner.Width, gather.UpperCorner.Height };
        uint* strides = stackalloc uint[] { 1, (uint)gather.Stride, (uint)gather.Stride, 1 };
        Check(EncodeIm2col(map, BFloat16, 4, plan.Address, sizes, pitches, lower, upper, TensorMapPlan.Box, TensorMapPlan.Box, strides, 0, Swizzle128Bytes, L2Promotion128Bytes, 0),
            $"a tensor map of {plan} (cuTensorMapEncodeIm2col)");
    }

    static void Check(int status, string what)
    {
        if (status == 0) return;
        string why = GetErrorString(status, out byte* text) == 0 && text != null ? Marshal.PtrToStringUTF8((nint)text)! : "no explanation";
        throw new DeviceException($"the NVIDIA driver refused {what}: error {status}, {why}");
    }

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
