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
    }

    void Pack(Tensor weight, Tensor packed, Correlation plan, WeightChannels channels)
    {
        float* to = Of(packed);
        foreach (var phase in plan.Phases)
        {
            nint start = (nint)to;
            workers.Run(channels.Groups * channels.Slices, (tile, _) => ForSlice(weight, (float*)start, channels, phase.Taps, tile, (plain, stride, slice, begin, end, width) =>
            {
                for (int i = 0; i < begin; i++) slice[i] = 0;
                for (int i = begin; i < end; i++, plain += stride) slice[i] = *plain;
                for (int i = end; i < width; i++) slice[i] = 0;
            }));
            to += channels.PackedFloats(phase.Taps.Length);
        }
    }

    void Unpack(float* packed, Tensor weight, WeightChannels channels, int[] taps) =>
        workers.Run(channels.Groups * channels.Slices, (tile, _) => ForSlice(weight, packed, channels, taps, tile, (plain, stride, slice, begin, end, _) =>
        {
            for (int i = begin; i < end; i++, plain += stride) *plain = slice[i];
        }));

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
