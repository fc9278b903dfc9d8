using ILGPU.Runtime.Cuda;

namespace FaceSearch.Tensors;

/// <summary>A point on a CUDA stream that another stream can wait for. The accelerator is bound to the calling thread.</summary>
sealed class CudaEvent : IDisposable
{
    readonly nint handle;

    /// <summary>Timed: with the GPU's time, which takes it a moment more.</summary>
    public CudaEvent(bool timed = false) =>
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out handle, timed ? CudaEventFlags.CU_EVENT_DEFAULT : CudaEventFlags.CU_EVENT_DISABLE_TIMING));

    /// <summary>The point is behind everything that is on the stream now.</summary>
    public void Record(CudaStream stream) => CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(handle, stream.StreamPtr));

    /// <summary>What is put on the stream from now on happens after the point.</summary>
    public void Precede(CudaStream stream) => CudaDriver.Wait(stream.StreamPtr, handle);

    /// <summary>Of two timed points that have been waited for.</summary>
    public float MillisecondsSince(CudaEvent earlier)
    {
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.ElapsedTime(out float milliseconds, earlier.handle, handle));
        return milliseconds;
    }

    public void Dispose() => CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.DestroyEvent(handle));
}
