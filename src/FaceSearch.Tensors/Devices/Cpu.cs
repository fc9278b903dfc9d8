using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// <summary>Makes CPU devices: the best instruction set of this machine, or a stated one.</summary>
public static class Cpu
{
    /// <summary>Instruction sets in the order of preference, each with whether this machine has it.</summary>
    public static IReadOnlyList<(string Name, bool Supported)> InstructionSets { get; } =
        [(Avx512Lanes.Name, Avx512Lanes.IsSupported), (Avx2Lanes.Name, Avx2Lanes.IsSupported), (PortableLanes.Name, PortableLanes.IsSupported)];

    /// <summary>A device with that many threads; instruction set by name (see <see cref="InstructionSets"/>), or the best. `exact` forgoes
    /// Winograd's convolution: 3×3 convolutions then err half as much and take about twice the time.</summary>
    public static Device Create(int threads = 1, string? instructionSet = null, bool exact = false)
    {
        var chosen = instructionSet ?? InstructionSets.First(s => s.Supported).Name;
        if (!InstructionSets.Any(s => s.Name == chosen && s.Supported))
            throw new ArgumentException($"this machine has no '{chosen}'; it has {string.Join(", ", InstructionSets.Where(s => s.Supported).Select(s => s.Name))}");
        return chosen == Avx512Lanes.Name ? new Cpu<Avx512Lanes>(threads) { Exact = exact }
            : chosen == Avx2Lanes.Name ? new Cpu<Avx2Lanes>(threads) { Exact = exact }
            : new Cpu<PortableLanes>(threads) { Exact = exact };
    }
}

/// <summary>
/// fp32 on the CPU, every kernel written once over sixteen lanes <typeparamref name="V"/>. Memory is pooled by size and
/// never returned to the system before the device goes, so that a warm training step allocates nothing.
/// </summary>
public sealed unsafe partial class Cpu<V>(int threads) : Device where V : struct, ILanes<V>
{
    // The largest block of work the pool hands out is a pass over about this many floats (a quarter of a core's L2).
    const int TileFloats = 1 << 16;

    sealed class Block(float* pointer, long bytes) : Memory
    {
        public readonly float* Pointer = pointer;
        public override long Bytes => bytes;
    }

    readonly Dictionary<long, Stack<Block>> pool = [];
    readonly Workers workers = new(threads);
    readonly (nint Pointer, long Floats)[] scratch = new (nint, long)[2 * threads];

    public override string Name => $"cpu ({V.Name}, {workers.Count} thread{(workers.Count == 1 ? "" : "s")})";
    /// <summary>Fills new memory with NaN, so that tests find what reads before it writes.</summary>
    internal bool Poison { get; init; }

    internal static float* Of(Tensor t) => ((Block)t.Memory).Pointer;

    /// Maps of 4 MiB and more go past the caches when they are written, so that memory is not read first to be overwritten; what reads them next asks early.
    static bool Streams(Shape map) => CpuLayout.Floats(map) >= 1 << 20;

    /// Memory of at least that many floats for one worker, contents undefined, valid until its next call. A worker has two such pieces.
    float* Scratch(int worker, long floats, bool second = false)
    {
        ref var mine = ref scratch[2 * worker + (second ? 1 : 0)];
        if (mine.Floats < floats)
        {
            Pages.Free((float*)mine.Pointer);
            mine = ((nint)Pages.Allocate(4 * floats), floats);
        }
        if (Poison) new Span<float>((float*)mine.Pointer, checked((int)floats)).Fill(float.NaN);
        return (float*)mine.Pointer;
    }

    private protected override Memory Allocate(Shape shape)
    {
        long bytes = CpuLayout.Bytes(shape);
        var block = pool.TryGetValue(bytes, out var free) && free.TryPop(out var reused) ? reused
            : new Block(Pages.Allocate(bytes), bytes);
        if (Poison) new Span<float>(block.Pointer, checked((int)(bytes / 4))).Fill(float.NaN);
        // Lanes past the end of a vector are zero by contract; those of maps are written by the op that makes the map.
        if (!shape.IsMap)
            for (long i = shape.Count; i < CpuLayout.Floats(shape); i++) block.Pointer[i] = 0;
        return block;
    }

    private protected override void Free(Memory memory)
    {
        if (!pool.TryGetValue(memory.Bytes, out var free)) pool[memory.Bytes] = free = [];
        free.Push((Block)memory);
    }

    private protected override void Clear(Tensor tensor) => NativeMemory.Clear(Of(tensor), (nuint)(4 * CpuLayout.Floats(tensor.Shape)));

    private protected override bool KeepsFlat(Shape shape) => CpuLayout.KeepsFlat(shape);

    public override void Write(Tensor to, ReadOnlySpan<float> values)
    {
        CheckCount(to, values.Length);
        to = to.Flat ?? to;
        if (!to.Shape.IsMap)
        {
            values.CopyTo(new(Of(to), values.Length));
            return;
        }
        fixed (float* fixedValues = values)
        {
            float* from = fixedValues;
            ForBlocks(to.Shape, (pixels, planes, area, channels) => Interleave(from + planes, Of(to) + pixels, area, channels));
        }
    }

    public override void Write(Tensor to, ReadOnlySpan<byte> photographs, float[] byteValues)
    {
        if (to.Flat is not { } flat)
        {
            base.Write(to, photographs, byteValues);
            return;
        }
        CheckPhotographs(to, photographs.Length);
        int floats = flat.Shape.Cols;
        fixed (byte* fixedBytes = photographs)
        {
            byte* bytes = fixedBytes;
            workers.Run(flat.Shape.Rows, (image, _) => Expand(new(bytes + (long)image * floats, floats), byteValues, new(Of(flat) + (long)image * floats, floats)));
        }
    }

    public override void Read(Tensor from, Span<float> values)
    {
        CheckCount(from, values.Length);
        if (!from.Shape.IsMap)
        {
            new Span<float>(Of(from), values.Length).CopyTo(values);
            return;
        }
        var s = from.Shape;
        int area = s.Height * s.Width, blocks = CpuLayout.Blocks(s.Channels);
        fixed (float* to = values)
            for (int n = 0; n < s.Images; n++)
                for (int c = 0; c < s.Channels; c++)
                {
                    float* source = Of(from) + ((long)n * blocks + c / 16) * area * 16 + c % 16, target = to + ((long)n * s.Channels + c) * area;
                    for (int i = 0; i < area; i++) target[i] = source[i * 16L];
                }
    }

    public override void Write(Tensor to, long first, ReadOnlySpan<float> values)
    {
        CheckRange(to, first, values.Length);
        values.CopyTo(new(Of(to) + first, values.Length));
    }

    public override void Read(Tensor from, long first, Span<float> values)
    {
        CheckRange(from, first, values.Length);
        new Span<float>(Of(from) + first, values.Length).CopyTo(values);
    }

    /// Planes of up to sixteen channels → pixels of sixteen lanes, zeros in the lanes past the last channel.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Interleave(float* planes, float* pixels, int area, int channels)
    {
        // Images have three channels, and nearly all that is written are images.
        bool isImage = channels == 3;
        for (int i = 0; i < area; i++, pixels += 16)
        {
            V.Store(V.Zero, pixels);
            if (isImage) (pixels[0], pixels[1], pixels[2]) = (planes[i], planes[area + i], planes[2L * area + i]);
            else
                for (int c = 0; c < channels; c++) pixels[c] = planes[(long)c * area + i];
        }
    }

    public override void Dispose()
    {
        workers.Dispose();
        foreach (var block in pool.Values.SelectMany(free => free)) Pages.Free(block.Pointer);
        pool.Clear();
        foreach (var (pointer, _) in scratch) Pages.Free((float*)pointer);
        Array.Clear(scratch);
    }
}
