using System.Runtime.InteropServices;
using ILGPU.Runtime;
using ILGPU.Runtime.OpenCL;

namespace FaceSearch.Tensors;

/// <summary>
/// Where a buffer of the simulated GPU lies in this process. PoCL's CPU device computes in the memory that it maps, and a buffer
/// does not move: mapped once, its address stays good.
/// </summary>
static unsafe partial class OpenCl
{
    const string Library = "OpenCL";
    const ulong MapRead = 1, MapWrite = 2;

    [LibraryImport(Library, EntryPoint = "clEnqueueMapBuffer")]
    private static partial nint MapBuffer(nint queue, nint buffer, uint blocking, ulong flags, nint offset, nint bytes, uint waits, nint* events, nint* signals, out int status);
    [LibraryImport(Library, EntryPoint = "clEnqueueUnmapMemObject")]
    private static partial int Unmap(nint queue, nint buffer, nint address, uint waits, nint* events, nint* signals);

    public static nint Address(MemoryBuffer buffer)
    {
        nint queue = ((CLStream)buffer.Accelerator.DefaultStream).CommandQueue;
        nint address = MapBuffer(queue, buffer.NativePtr, 1, MapRead | MapWrite, 0, (nint)buffer.LengthInBytes, 0, null, null, out int status);
        if (status != 0 || Unmap(queue, buffer.NativePtr, address, 0, null, null) != 0) throw new DeviceException($"OpenCL does not map its memory (clEnqueueMapBuffer returned {status})");
        return address;
    }
}
