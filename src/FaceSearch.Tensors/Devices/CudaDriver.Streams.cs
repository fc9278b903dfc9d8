using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>Events between streams, and graphs: what a stream was told to do, to be done again by one call.</summary>
static partial class CudaDriver
{
    // Nothing but the launches of this thread concerns the recording, and what else is asked meanwhile is done at once.
    const int RelaxedCapture = 2;

    [LibraryImport(Library, EntryPoint = "cuStreamWaitEvent")] private static partial int StreamWaitEvent(nint stream, nint @event, uint flags);
    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")] private static partial int StreamBeginCapture(nint stream, int mode);
    [LibraryImport(Library, EntryPoint = "cuStreamEndCapture")] private static partial int StreamEndCapture(nint stream, out nint graph);
    [LibraryImport(Library, EntryPoint = "cuGraphInstantiateWithFlags")] private static partial int GraphInstantiate(out nint executable, nint graph, ulong flags);
    [LibraryImport(Library, EntryPoint = "cuGraphLaunch")] private static partial int GraphLaunch(nint executable, nint stream);
    [LibraryImport(Library, EntryPoint = "cuGraphDestroy")] private static partial int GraphDestroy(nint graph);
    [LibraryImport(Library, EntryPoint = "cuGraphExecDestroy")] private static partial int GraphExecDestroy(nint executable);

    /// <summary>What is put on the stream from now on waits for the event; the host does not.</summary>
    public static void Wait(nint stream, nint @event) => Done(StreamWaitEvent(stream, @event, 0));

    /// <summary>What is put on the stream from now on is not done but recorded.</summary>
    public static void BeginCapture(nint stream) => Done(StreamBeginCapture(stream, RelaxedCapture));

    /// <summary>Ends a recording and makes it ready to be launched.</summary>
    public static nint EndCapture(nint stream)
    {
        Done(StreamEndCapture(stream, out nint graph));
        try
        {
            Done(GraphInstantiate(out nint executable, graph, 0));
            return executable;
        }
        finally { GraphDestroy(graph); }
    }

    /// <summary>Ends a recording that nobody wants.</summary>
    public static void DropCapture(nint stream)
    {
        if (StreamEndCapture(stream, out nint graph) == 0 && graph != 0) GraphDestroy(graph);
    }

    public static void LaunchGraph(nint executable, nint stream) => Done(GraphLaunch(executable, stream));

    public static void DestroyGraph(nint executable) => Done(GraphExecDestroy(executable));

    static void Done(int status, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != 0) throw new DeviceException($"the CUDA driver refuses {call[..call.IndexOf('(')]}: error {status}");
    }
}
