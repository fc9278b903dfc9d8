using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Memory for tensors. Large pieces ask Linux for pages of 2 MiB: a training step walks over hundreds of megabytes, of
/// which the processor's address cache covers sixteen in pages of 4 KiB, and its prefetchers stop at the end of a page.
/// </summary>
static unsafe partial class Pages
{
    // 64 bytes: one AVX-512 register, one cache line.
    const nuint Line = 64, Huge = 2 << 20;
    const int AdviseHugePages = 14;

    public static float* Allocate(long bytes)
    {
        if (bytes < (long)Huge) return (float*)NativeMemory.AlignedAlloc((nuint)bytes, Line);
        var memory = NativeMemory.AlignedAlloc((nuint)bytes, Huge);
        // Where the system knows no such pages it says so, and nothing is lost.
        if (OperatingSystem.IsLinux()) _ = Advise(memory, (nuint)bytes, AdviseHugePages);
        return (float*)memory;
    }

    public static void Free(float* memory) => NativeMemory.AlignedFree(memory);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* memory, nuint bytes, int advice);
}
