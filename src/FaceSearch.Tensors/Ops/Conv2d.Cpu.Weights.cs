using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// <summary>
    /// Input and output channels of a dense kernel. Groups whose channels do not fill blocks of sixteen are merged until they
    /// do (or all are one), with zero weights between them: work is wasted (16 at most), but every kernel stays dense.
    /// Packed weights: [groups][outputs/32 (AVX-512, else /16)][input blocks][taps][input channels of the block][outputs of the slice].
    /// </summary>
    readonly struct WeightChannels
    {
        public readonly int Groups, Ins, Outs;
        // Channels of one unmerged group as the kernel sees them, and what the plain weights look like.
        public readonly int UnmergedIns, UnmergedOuts, Inner, Area;
        public readonly bool Transposed;

        public WeightChannels(Shape weight, int groups, bool transposed)
        {
            (Inner, Area, Transposed) = (weight[1], weight[2] * weight[3], transposed);
            int outs = weight[0] / groups;
            (UnmergedIns, UnmergedOuts) = transposed ? (outs, Inner) : (Inner, outs);
            int merged = 1;
            while (merged < groups && (groups % merged != 0 || UnmergedIns * merged % 16 != 0 || UnmergedOuts * merged % 16 != 0)) merged++;
            (Groups, Ins, Outs) = (groups / merged, UnmergedIns * merged, UnmergedOuts * merged);
        }

        public int InBlocks => CpuLayout.Blocks(Ins);
        public int OutBlocks => CpuLayout.Blocks(Outs);
        public int Slices => (OutBlocks + Pair - 1) / Pair;
        public long SliceFloats(int taps) => (long)Pair * 16 * Ins * taps;
        public long GroupFloats(int taps) => (long)OutBlocks * 16 * Ins * taps;
        public long PackedFloats(int taps) => Groups * GroupFloats(taps);
        /// Whether a group's plain weights are a matrix [Outs][Ins], or [Ins][Outs] where transposed.
        public bool AreMatrices => Area == 1 && Ins == UnmergedIns;
    }

    /// The weights of all phases, one after the other, with the scale of a norm that follows.
    Tensor Packed(Tensor weight, Correlation plan, WeightChannels channels, Folded? folded)
    {
        var use = new Frozen.Use(weight, folded?.Gamma, Turned: channels.Transposed);
        if (Frozen?.Find(use) is { } kept) return kept;
        var packed = New(Shape.Of(checked((int)Math.Max(16, channels.PackedFloats(plan.Phases.Sum(p => p.Taps.Length))))));
        Pack(weight, packed, plan, channels);
        folded?.Scale(packed, channels);
        Frozen?.Keep(use, packed);
        return packed;
    }

    void Pack(Tensor weight, Tensor packed, Correlation plan, WeightChannels channels)
    {
        float* to = Of(packed);
        foreach (var phase in plan.Phases.Where(p => p.Taps.Length > 0))
        {
            nint start = (nint)to;
            workers.Run(channels.Groups * channels.Slices, (tile, _) =>
            {
                if (channels.AreMatrices) PackMatrix(MatrixSlice.Of(weight, (float*)start, channels, tile), channels.Transposed);
                else
                    ForSlice(weight, (float*)start, channels, phase.Taps, tile, (plain, stride, slice, begin, end, width) =>
                    {
                        for (int i = 0; i < begin; i++) slice[i] = 0;
                        for (int i = begin; i < end; i++, plain += stride) slice[i] = *plain;
                        for (int i = end; i < width; i++) slice[i] = 0;
                    });
            });
            to += channels.PackedFloats(phase.Taps.Length);
        }
    }

    void Unpack(float* packed, Tensor weight, WeightChannels channels, int[] taps) =>
        workers.Run(channels.Groups * channels.Slices, (tile, _) =>
        {
            if (channels.AreMatrices) UnpackMatrix(MatrixSlice.Of(weight, packed, channels, tile));
            else
                ForSlice(weight, packed, channels, taps, tile, (plain, stride, slice, begin, end, _) =>
                {
                    for (int i = begin; i < end; i++, plain += stride) *plain = slice[i];
                });
        });

    /// A slice of a matrix of weights: packed [Ins][Width], of which Outs columns exist; plain rows `Row` floats apart.
    readonly record struct MatrixSlice(nint Plain, int Row, nint Packed, int Ins, int Outs, int Width)
    {
        public static MatrixSlice Of(Tensor weight, float* packed, WeightChannels channels, int tile)
        {
            int group = tile / channels.Slices, block = tile % channels.Slices * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
            long first = channels.Transposed ? (long)group * channels.Ins * channels.Inner + block * 16 : ((long)group * channels.Outs + block * 16) * channels.Inner;
            return new((nint)(Cpu<V>.Of(weight) + first), channels.Inner, (nint)(packed + group * channels.GroupFloats(1) + block / Pair * channels.SliceFloats(1)),
                channels.Ins, Math.Min(width, channels.Outs - block * 16), width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void PackMatrix(MatrixSlice slice, bool transposed)
    {
        float* plain = (float*)slice.Plain, packed = (float*)slice.Packed;
        if (transposed)
        {
            for (int c = 0; c < slice.Ins; c++, plain += slice.Row)
                for (int o = 0; o < slice.Width; o += 16, packed += 16) V.Store(Lanes.LoadPart<V>(plain + o, slice.Outs - o), packed);
            return;
        }
        // Sixteen inputs at a time: what is read and written meanwhile stays in the first-level cache.
        for (int c = 0; c < slice.Ins; c += 16, plain += 16, packed += 16 * slice.Width)
            for (int o = 0; o < slice.Width; o += 4) PackFour(plain + (long)o * slice.Row, slice.Row, slice.Outs - o, Math.Min(16, slice.Ins - c), packed + o, slice.Width);
    }

    /// Of weights that are not transposed.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void UnpackMatrix(MatrixSlice slice)
    {
        float* plain = (float*)slice.Plain, packed = (float*)slice.Packed;
        int ins = slice.Ins & ~3, outs = slice.Outs & ~3;
        for (int o = 0; o < outs; o += 4)
            for (int c = 0; c < ins; c += 4) Transpose<No>(packed + c * slice.Width + o, slice.Width, plain + (long)o * slice.Row + c, slice.Row);
        for (int o = 0; o < slice.Outs; o++)
            for (int c = o < outs ? ins : 0; c < slice.Ins; c++) plain[(long)o * slice.Row + c] = packed[c * slice.Width + o];
    }

    /// One input channel and tap of a slice: outputs begin to end of its `width` have weights, `stride` apart in the plain tensor.
    delegate void SliceRow(float* plain, int stride, float* slice, int begin, int end, int width);

    static void ForSlice(Tensor weight, float* packed, WeightChannels channels, int[] taps, int tile, SliceRow act)
    {
        int group = tile / channels.Slices, block = tile % channels.Slices * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
        float* slice = packed + group * channels.GroupFloats(taps.Length) + block / Pair * channels.SliceFloats(taps.Length);
        for (int firstIn = 0; firstIn < channels.Ins; firstIn += 16)
            foreach (int tap in taps)
                for (int c = firstIn; c < Math.Min(channels.Ins, firstIn + 16); c++, slice += width)
                {
                    int input = group * channels.Ins + c, unmerged = input / channels.UnmergedIns;
                    int output = group * channels.Outs + block * 16, firstOut = unmerged * channels.UnmergedOuts;
                    int begin = Math.Clamp(firstOut - output, 0, width), end = Math.Clamp(firstOut + channels.UnmergedOuts - output, begin, width);
                    int outer = output + begin, inner = input - unmerged * channels.UnmergedIns;
                    if (channels.Transposed) (outer, inner) = (input, outer - firstOut);
                    float* plain = Of(weight) + ((long)outer * channels.Inner + inner) * channels.Area + tap;
                    act(plain, channels.Transposed ? channels.Area : channels.Inner * channels.Area, slice, begin, end, width);
                }
    }
}
