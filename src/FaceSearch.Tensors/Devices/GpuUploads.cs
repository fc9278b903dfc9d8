using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Copies from the host that nobody waits for: values go into page-locked memory, from which the GPU fetches them when the stream
/// gets there. A piece of it is free again once the stream has been waited for.
/// </summary>
sealed class GpuUploads(Accelerator accelerator) : IDisposable
{
    // By length: a training has few of them.
    readonly Dictionary<int, Stack<PageLockedArray1D<float>>> free = [];
    readonly List<PageLockedArray1D<float>> underWay = [];
    // So much may be under way; whoever copies more waits for it.
    const long MostFloats = 64 << 20;

    public void Copy(AcceleratorStream stream, View to, ReadOnlySpan<float> values)
    {
        if (underWay.Sum(p => p.Length) + values.Length > MostFloats && underWay.Count > 0)
        {
            stream.Synchronize();
            Arrived();
        }
        var piece = free.TryGetValue(values.Length, out var pieces) && pieces.TryPop(out var reused) ? reused : accelerator.AllocatePageLocked1D<float>(values.Length);
        values.CopyTo(piece.Span);
        to.CopyFromPageLockedAsync(stream, piece);
        underWay.Add(piece);
    }

    /// <summary>Everything copied so far has arrived.</summary>
    public void Arrived()
    {
        foreach (var piece in underWay)
        {
            int length = checked((int)piece.Length);
            if (!free.TryGetValue(length, out var pieces)) free[length] = pieces = [];
            pieces.Push(piece);
        }
        underWay.Clear();
    }

    public void Dispose()
    {
        Arrived();
        foreach (var piece in free.Values.SelectMany(pieces => pieces)) piece.Dispose();
        free.Clear();
    }
}
