using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace FaceSearch.Tensors;

/// <summary>
/// A piece of memory on both sides, page-locked on the host's, and the way from one to the other on a stream beside
/// everything else. On the simulated GPU, which has no such memory, the copy is waited for; without a stream nothing is copied.
/// </summary>
sealed class GpuFerry : IDisposable
{
    readonly Accelerator accelerator;
    readonly AcceleratorStream? stream;
    readonly PageLockedArray1D<float>? locked;
    readonly CudaEvent? arrived;

    public GpuFerry(Accelerator accelerator, AcceleratorStream? stream, Tensor memory)
    {
        (this.accelerator, this.stream, Memory) = (accelerator, stream, memory);
        int floats = checked((int)memory.Shape.Count);
        if (stream is CudaStream) (locked, arrived) = (accelerator.AllocatePageLocked1D<float>(floats), new());
        Host = locked?.GetArray() ?? new float[floats];
    }

    public Memory<float> Host { get; }
    public Tensor Memory { get; }

    /// <summary>Sends the first floats of the host's side.</summary>
    public void Start(int floats)
    {
        if (stream is null) return;
        var to = Gpu.Of(Memory).SubView(0, floats);
        if (locked is null)
        {
            to.CopyFromCPU(stream, Host.Span[..floats]);
            return;
        }
        accelerator.Bind();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.MemcpyAsync(to.LoadEffectiveAddressAsPtr(), locked.ArrayView.LoadEffectiveAddressAsPtr(), (nint)to.LengthInBytes, stream));
        arrived!.Record((CudaStream)stream);
    }

    /// <summary>What is put on that stream from now on finds everything here.</summary>
    public void Arrive(AcceleratorStream on)
    {
        if (arrived is null) return;
        accelerator.Bind();
        arrived.Precede((CudaStream)on);
    }

    public void Dispose()
    {
        accelerator.Bind();
        arrived?.Dispose();
        locked?.Dispose();
        Memory.Dispose();
    }
}
