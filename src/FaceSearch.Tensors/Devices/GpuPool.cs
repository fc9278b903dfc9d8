using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Memory of a GPU: a few large slabs, cut into aligned blocks that are kept by size when they come back. A driver's own
/// allocation takes longer than most kernels, and its freeing waits for all of them. Blocks of a slab that is in use are not
/// joined, so that equal steps find equal blocks in equal places: after the first, a step allocates nothing. Slabs that nobody uses any more
/// are cut anew before there are more of them. One that meters cuts slabs that nothing is behind.
/// </summary>
sealed class GpuPool(Accelerator accelerator, bool meters = false) : IDisposable
{
    // A slab is as large as all before it together, between these: few of them, and little for a small network.
    const long FirstBytes = 64 << 20, MostBytes = 512 << 20;

    public sealed class Slab(int number, MemoryBuffer buffer, View floats, nint address)
    {
        long cut;

        /// Where it begins, as hand-written kernels take it.
        public nint Address => address;
        public int Number => number;
        public MemoryBuffer Buffer => buffer;
        public View Floats => floats;

        /// Floats that have not been cut off yet.
        public long Rest => floats.Length - cut;
        /// Blocks that are rented.
        public int Rented { get; set; }

        public Block Cut(long floats)
        {
            cut += floats;
            return new(this, cut - floats, floats);
        }

        public void Join() => cut = 0;
    }

    /// Floats from the offset on, of a slab.
    public sealed class Block(Slab slab, long offset, long floats) : Memory
    {
        public Slab Slab => slab;
        public View Floats { get; } = slab.Floats.SubView(offset, floats);
        public nint Address => slab.Address + 4 * (nint)offset;
        public override long Bytes => 4 * floats;
        public (int, long) Place => (slab.Number, offset);
        /// When it was rented last, counted in rents.
        public long Since { get; set; }
    }

    readonly List<Slab> slabs = [];
    // By size; of one size, the first place first: where things lie follows from what is rented, not from the order in which it came back.
    readonly Dictionary<long, PriorityQueue<Block, (int, long)>> free = [];
    readonly HashSet<Block> rented = [];

    /// <summary>Allocations of the driver.</summary>
    public int Slabs => slabs.Count;
    /// <summary>What the driver has given, used or not.</summary>
    public long HeldBytes => slabs.Sum(s => s.Buffer.LengthInBytes);

    /// <summary>A point in time, counted in rents.</summary>
    public long Now { get; private set; }

    /// <summary>Whether nothing is rented now that was not then.</summary>
    public bool HasBackAllSince(long time)
    {
        foreach (var block in rented)
            if (block.Since > time) return false;
        return true;
    }

    /// <summary>Contents undefined. Throws a <see cref="DeviceException"/> when the GPU is full.</summary>
    public Block Rent(long bytes)
    {
        var block = free.TryGetValue(bytes, out var blocks) && blocks.TryDequeue(out var reused, out _) ? reused : Cut(bytes / 4);
        block.Slab.Rented++;
        block.Since = ++Now;
        rented.Add(block);
        return block;
    }

    public void Return(Block block)
    {
        block.Slab.Rented--;
        rented.Remove(block);
        if (!free.TryGetValue(block.Bytes, out var blocks)) free[block.Bytes] = blocks = new();
        blocks.Enqueue(block, block.Place);
    }

    /// From the first slab with room, so that where blocks lie follows from what was asked for alone.
    Block Cut(long floats)
    {
        if (WithRoom(floats) is { } slab) return slab.Cut(floats);
        JoinUnused();
        return (WithRoom(floats) ?? Grow(floats)).Cut(floats);
    }

    Slab? WithRoom(long floats) => slabs.Find(s => s.Rest >= floats);

    /// What an earlier training cut in other sizes.
    void JoinUnused()
    {
        if (!slabs.Exists(s => s.Rented == 0)) return;
        foreach (var size in free.Keys.ToArray()) free[size] = new(free[size].UnorderedItems.Where(b => b.Element.Slab.Rented > 0));
        foreach (var slab in slabs)
            if (slab.Rented == 0) slab.Join();
    }

    Slab Grow(long floats)
    {
        accelerator.Bind();
        long held = HeldBytes, usual = Math.Clamp(held, FirstBytes, MostBytes) / 4;
        // Where there is not so much left, just what is needed.
        var buffer = (usual > floats ? Allocate(usual, out _) : null) ?? Allocate(floats, out var error)
            ?? throw new DeviceException($"{accelerator.Name} has no {floats >> 18} MiB left ({held >> 20} MiB of its {accelerator.MemorySize >> 20} MiB are held here): a smaller Train.Batch needs less", error);
        var slab = buffer is MemoryBuffer1D<float, Stride1D.Dense> real ? new Slab(slabs.Count, real, real.View.BaseView, GpuAccelerator.Address(real))
            : new(slabs.Count, buffer, buffer.AsArrayView<float>(0, buffer.Length), (nint)held + GpuLayout.Alignment);
        slabs.Add(slab);
        return slab;
    }

    MemoryBuffer? Allocate(long floats, out AcceleratorException? error)
    {
        error = null;
        if (meters) return new NoMemory(accelerator, floats);
        try { return accelerator.Allocate1D<float>(floats); }
        catch (AcceleratorException e)
        {
            error = e;
            return null;
        }
    }

    /// What a meter cuts.
    sealed class NoMemory : MemoryBuffer
    {
        public NoMemory(Accelerator accelerator, long floats) : base(accelerator, floats, sizeof(float)) => NativePtr = GpuLayout.Alignment;

        protected override void MemSet(AcceleratorStream stream, byte value, in ArrayView<byte> view) => throw new NotSupportedException();
        protected override void CopyFrom(AcceleratorStream stream, in ArrayView<byte> from, in ArrayView<byte> to) => throw new NotSupportedException();
        protected override void CopyTo(AcceleratorStream stream, in ArrayView<byte> from, in ArrayView<byte> to) => throw new NotSupportedException();
        protected override void DisposeAcceleratorObject(bool disposing) { }
    }

    public void Dispose()
    {
        accelerator.Bind();
        foreach (var slab in slabs) slab.Buffer.Dispose();
        slabs.Clear();
        free.Clear();
    }
}
