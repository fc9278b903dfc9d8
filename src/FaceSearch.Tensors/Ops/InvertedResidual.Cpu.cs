namespace FaceSearch.Tensors;

/// <summary>
/// A band of rows (of most maps here: all) goes through all convolutions in the second-level cache. Before a project the depthwise one overwrites what it has read:
/// rows begin one above the first output's, so output row i goes where row i − 1 was, which its window has just left.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Of the wide map in scratch: half of a second-level cache of 1 MB.
    const int HiddenFloats = 1 << 17;

    internal override bool FusesInvertedResidual(NormedConv expand, Shape wide, NormedConv depthwise, NormedConv? project, Shape y, bool adds)
    {
        Sliding first = new(expand.Stride, expand.Padding, 1), second = new(depthwise.Stride, depthwise.Padding, wide.Channels);
        return FusesConv2d(expand.Weight, wide, first, activates: true, adds: false)
            && (project is { } last ? FusesSeparableConv2d(depthwise.Weight, second, last.Weight, y, last.Norm.Slope is not null, adds) : FusesConv2d(depthwise.Weight, y, second, activates: true, adds));
    }

    internal override void InvertedResidual(Tensor x, NormedConv expand, Shape wide, NormedConv depthwise, NormedConv? project, Normalised[] norms, Tensor? residual, Tensor y)
    {
        if (depthwise.Stride == 1) InvertedResidual<Size1>(x, expand, wide, depthwise.Weight, project, norms, residual, y);
        else InvertedResidual<Size2>(x, expand, wide, depthwise.Weight, project, norms, residual, y);
    }

    void InvertedResidual<T>(Tensor x, NormedConv expand, Shape wide, Tensor depthwise, NormedConv? project, Normalised[] norms, Tensor? residual, Tensor y) where T : ISize
    {
        var (height, width) = (wide.Height, wide.Width);
        int blocks = CpuLayout.Blocks(wide.Channels), rowFloats = width * 16, outFloats = y.Shape.Width * 16;
        var widening = Correlation.Forward(expand.Weight.Shape, wide, new(expand.Stride, expand.Padding, 1));
        var channels = new WeightChannels(expand.Weight.Shape, 1, transposed: false);
        using var before = new Folded(norms[0]);
        using Tensor weights = Packed(expand.Weight, widening, channels, before), kernels = Pack3x3(depthwise, turned: false), zeros = ZeroRow(width);
        int within = (HiddenFloats / (blocks * rowFloats) - 3) / T.Value + 1, share = (y.Shape.Images * y.Shape.Height + workers.Count - 1) / workers.Count;
        int rows = Math.Clamp(within, 1, Math.Min(share, y.Shape.Height));
        if (project is { } last)
        {
            using var after = new Folded(norms[2], residual, y);
            Correlate(x, last.Weight, y, Correlation.Forward(last.Weight.Shape, y.Shape, Pointwise), new(last.Weight.Shape, 1, transposed: false), null, after, new(rows, Hidden));
            return;
        }
        int bands = (y.Shape.Height + rows - 1) / rows;
        workers.Run(y.Shape.Images * bands, (tile, worker) =>
        {
            int image = tile / bands, first = tile % bands * rows, count = Math.Min(rows, y.Shape.Height - first);
            var (band, block) = Wide(image, first, count, worker);
            long plane = (long)y.Shape.Height * outFloats;
            Slide(band, block, first, count, Of(y) + image * blocks * plane + first * outFloats, plane);
        });

        // Rows in reach of the outputs, normalised: where the first output's begin, and how far apart channel blocks are.
        (nint From, long Block) Wide(int image, int first, int count, int worker)
        {
            int top = first * T.Value - 1, reach = (count - 1) * T.Value + 3, from = Math.Max(0, top), there = Math.Min(height, top + reach) - from;
            long block = (long)reach * rowFloats;
            float* scratch = Scratch(worker, blocks * block, second: true);
            var band = Band(x, image, 1, 0, CpuLayout.Blocks(x.Shape.Channels), widening.Frame, from, there, worker);
            CorrelateBand(band, default, Of(weights), new((nint)(scratch + (from - top) * rowFloats), block, rowFloats, 16, there, width), widening.Phases[0], channels, 0, before);
            return ((nint)scratch, block);
        }

        void Slide(nint from, long block, int first, int count, float* to, long toBlock)
        {
            float* rows = (float*)from - (first * T.Value - 1L) * rowFloats;
            for (int b = 0; b < blocks; b++, rows += block, to += toBlock)
                new SlidingBand<T>(rows, Of(zeros), height, width, first, first + count, 0).Slide<No, No, NormaliseOnLoad<V>>(Of(kernels) + b * 9 * 16, to, null, new(norms[1], b));
        }

        InputBand Hidden(int image, int first, int count, int worker)
        {
            var (from, block) = Wide(image, first, count, worker);
            Slide(from, block, first, count, (float*)from, block);
            return new(from, outFloats, block, 0, first, count, Contiguous: true, Next: 0, NextFloats: 0, Plane: 0);
        }
    }
}
