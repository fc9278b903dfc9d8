using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Memory of a GPU: a few large buffers, cut into aligned blocks that are kept by size when they come back. A driver's own
/// allocation takes longer than most kernels, and its freeing waits for all of them.
/// </summary>
sealed class GpuPool(Accelerator accelerator) : IDisposable
{
    const long BufferBytes = 64 << 20;

    public sealed class Block(View floats, nint address) : Memory
    {
        public View Floats => floats;
        /// Where it begins, as hand-written kernels take it.
        public nint Address => address;
        public override long Bytes => 4 * floats.Length;
    }

    readonly List<MemoryBuffer1D<float, Stride1D.Dense>> buffers = [];
    readonly Dictionary<long, Stack<Block>> free = [];
    // What is left of the last buffer, and where that begins.
    View rest;
    nint restAddress;

    /// <summary>Contents undefined. Throws a <see cref="DeviceException"/> when the GPU is full.</summary>
    public Block Rent(long bytes)
    {
        if (free.TryGetValue(bytes, out var blocks) && blocks.TryPop(out var reused)) return reused;
        long floats = bytes / 4;
        if (bytes >= BufferBytes) return Allocate(floats);
        if (rest.Length < floats)
        {
            KeepRest();
            var buffer = Allocate(BufferBytes / 4);
            (rest, restAddress) = (buffer.Floats, buffer.Address);
        }
        var block = new Block(rest.SubView(0, floats), restAddress);
        (rest, restAddress) = (rest.SubView(floats, rest.Length - floats), restAddress + (nint)bytes);
        return block;
    }

    public void Return(Block block)
    {
        if (!free.TryGetValue(block.Bytes, out var blocks)) free[block.Bytes] = blocks = [];
        blocks.Push(block);
    }

    /// The end of a buffer, too small for what is asked for, serves whoever needs just as much.
    void KeepRest()
    {
        if (rest.Length > 0) Return(new(rest, restAddress));
    }

    Block Allocate(long floats)
    {
        accelerator.Bind();
        try
        {
            var buffer = accelerator.Allocate1D<float>(floats);
            buffers.Add(buffer);
            return new(buffer.View.BaseView, GpuAccelerator.Address(buffer));
        }
        catch (AcceleratorException e)
        {
            long held = buffers.Sum(b => b.LengthInBytes);
            throw new DeviceException($"{accelerator.Name} has no {floats >> 18} MiB left ({held >> 20} MiB of its {accelerator.MemorySize >> 20} MiB are held here): a smaller Train.Batch needs less", e);
        }
    }

    public void Dispose()
    {
        accelerator.Bind();
        foreach (var buffer in buffers) buffer.Dispose();
        buffers.Clear();
        free.Clear();
        rest = default;
    }
}
