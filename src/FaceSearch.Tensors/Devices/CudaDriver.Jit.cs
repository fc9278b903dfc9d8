using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace FaceSearch.Tensors;

/// <summary>What the driver's compiler made of a kernel: per thread registers and bytes of local memory (spills and arrays), static shared memory, largest block.</summary>
readonly record struct JitKernel(string Name, int Registers, int LocalBytes, int SharedBytes, int MaxThreads);

static unsafe partial class CudaDriver
{
    // CUjit_option and CUfunction_attribute of cuda.h.
    const int InfoLog = 3, InfoLogBytes = 4, ErrorLog = 5, ErrorLogBytes = 6, LogVerbose = 12;
    const int AttributeMaxThreads = 0, AttributeShared = 1, AttributeLocal = 3, AttributeRegisters = 4;

    [LibraryImport(Library, EntryPoint = "cuModuleLoadDataEx")] private static partial int LoadDataEx(out nint module, byte* image, uint count, int* options, nint* values);
    [LibraryImport(Library, EntryPoint = "cuFuncGetAttribute")] private static partial int GetAttribute(out int value, int attribute, nint function);
    [LibraryImport(Library, EntryPoint = "cuModuleUnload")] private static partial int Unload(nint module);

    /// <summary>
    /// Compiles PTX in the current context and drops it again. The log is the compiler's own (empty where the driver had the result in its
    /// cache: CUDA_CACHE_DISABLE=1). Throws a <see cref="DeviceException"/> with the compiler's words where it refuses.
    /// </summary>
    public static JitKernel[] Jit(string ptx, out string log)
    {
        const int room = 1 << 16;
        byte[] info = new byte[room], error = new byte[room];
        fixed (byte* image = Encoding.UTF8.GetBytes(ptx + '\0'), infoText = info, errorText = error)
        {
            int* options = stackalloc[] { InfoLog, InfoLogBytes, ErrorLog, ErrorLogBytes, LogVerbose };
            nint* values = stackalloc nint[] { (nint)infoText, room, (nint)errorText, room, 1 };
            int status = LoadDataEx(out nint module, image, 5, options, values);
            log = Text(info);
            if (status != 0) throw new DeviceException($"the NVIDIA driver refused the PTX: error {status}, {Text(error)}");
            JitKernel[] kernels = [.. EntryPattern().Matches(ptx).Select(m => Describe(module, m.Groups[1].Value))];
            Check(Unload(module), "to drop a module (cuModuleUnload)");
            return kernels;
        }
    }

    static JitKernel Describe(nint module, string name)
    {
        Check(GetFunction(out nint function, module, name), $"to find {name} (cuModuleGetFunction)");
        int Attribute(int which)
        {
            Check(GetAttribute(out int value, which, function), $"to describe {name} (cuFuncGetAttribute)");
            return value;
        }
        return new(name, Attribute(AttributeRegisters), Attribute(AttributeLocal), Attribute(AttributeShared), Attribute(AttributeMaxThreads));
    }

    static string Text(byte[] zeroTerminated) => Encoding.UTF8.GetString(zeroTerminated, 0, Array.IndexOf(zeroTerminated, (byte)0)).Trim();

    [GeneratedRegex(@"\.entry\s+([\w$]+)")]
    private static partial Regex EntryPattern();
}
