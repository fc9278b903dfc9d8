using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace FaceSearch.Tensors;

/// <summary>The launches of a step, with their arguments as they were, to be done again in one call: first told, then ended, then started.</summary>
abstract class GpuReplay : IDisposable
{
    public static GpuReplay On(AcceleratorStream stream) => stream is CudaStream cuda ? new CudaGraph(cuda) : new LaunchList();

    /// <summary>A launch of the step, which is not done now.</summary>
    public abstract void Add(Action launch);
    public virtual void End() { }
    public abstract void Start();
    public virtual void Dispose() { }
}

/// <summary>On the simulated GPU, which knows no graphs.</summary>
sealed class LaunchList : GpuReplay
{
    readonly List<Action> launches = [];

    public override void Add(Action launch) => launches.Add(launch);

    public override void Start()
    {
        foreach (var launch in launches) launch();
    }
}

/// <summary>
/// A CUDA graph, recorded by letting the stream itself take down what it is told. A launch of ILGPU 1.5.3 is one call of the driver
/// that copies the arguments, so it may be recorded; its copies to and from the host wait for the stream and may not.
/// </summary>
sealed class CudaGraph : GpuReplay
{
    readonly CudaStream stream;
    nint executable;
    bool isTold;

    public CudaGraph(CudaStream stream)
    {
        this.stream = stream;
        CudaDriver.BeginCapture(stream.StreamPtr);
    }

    public override void Add(Action launch) => launch();

    public override void End()
    {
        isTold = true;
        executable = CudaDriver.EndCapture(stream.StreamPtr);
    }

    public override void Start()
    {
        stream.Accelerator.Bind();
        CudaDriver.LaunchGraph(executable, stream.StreamPtr);
    }

    public override void Dispose()
    {
        stream.Accelerator.Bind();
        if (executable != 0) CudaDriver.DestroyGraph(executable);
        else if (!isTold) CudaDriver.DropCapture(stream.StreamPtr);
        executable = 0;
        isTold = true;
    }
}
