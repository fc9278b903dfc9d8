namespace FaceSearch.Tensors;

/// <summary>
/// A band of rows (of most maps here: all) goes through all three convolutions in the second-level cache. The depthwise one overwrites what it has read:
/// rows begin one above the first output's, so output row i goes where row i − 1 was, which its window has just left.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Of the wide map in scratch: half of a second-level cache of 1 MB.
    const int HiddenFloats = 1 << 17;

    internal override bool FusesInvertedResidual(Tensor expand, Shape hidden, Tensor depthwise, Sliding sliding, Tensor project, Shape y, bool activates) =>
        FusesConv2d(expand, hidden, Pointwise, activates: true, adds: false) && FusesSeparableConv2d(depthwise, sliding, project, y, activates);

    internal override void InvertedResidual(Tensor x, Tensor expand, Normalised first, Tensor depthwise, Sliding sliding, Normalised second, Tensor project, Normalised third, Tensor? residual, Tensor y)
    {
        if (sliding.Stride == 1) InvertedResidual<Size1>(x, expand, first, depthwise, second, project, third, residual, y);
        else InvertedResidual<Size2>(x, expand, first, depthwise, second, project, third, residual, y);
    }

    void InvertedResidual<T>(Tensor x, Tensor expand, Normalised first, Tensor depthwise, Normalised second, Tensor project, Normalised third, Tensor? residual, Tensor y) where T : ISize
    {
        var (height, width) = (x.Shape.Height, x.Shape.Width);
        int blocks = CpuLayout.Blocks(expand.Shape[0]), rowFloats = width * 16, outFloats = y.Shape.Width * 16;
        var widening = Correlation.Forward(expand.Shape, Shape.Map(x.Shape.Images, expand.Shape[0], height, width), Pointwise);
        var channels = new WeightChannels(expand.Shape, 1, transposed: false);
        using Folded before = new(first), after = new(third, residual, y);
        using Tensor wide = Packed(expand, widening, channels, before), kernels = Pack3x3(depthwise, turned: false), zeros = ZeroRow(width);
        int within = (HiddenFloats / (blocks * rowFloats) - 3) / T.Value + 1, share = (y.Shape.Images * y.Shape.Height + workers.Count - 1) / workers.Count;
        Correlate(x, project, y, Correlation.Forward(project.Shape, y.Shape, Pointwise), new(project.Shape, 1, transposed: false), null, after, new(Math.Max(1, Math.Min(within, share)), Make));

        InputBand Make(int image, int row, int rows, int worker)
        {
            int top = row * T.Value - 1, count = (rows - 1) * T.Value + 3, from = Math.Max(0, top);
            long block = (long)count * rowFloats;
            float* hidden = Scratch(worker, blocks * block, second: true);
            int there = Math.Min(height, top + count) - from;
            var band = Band(x, image, 1, 0, CpuLayout.Blocks(x.Shape.Channels), widening.Frame, from, there, worker);
            CorrelateBand(band, default, Of(wide), new((nint)(hidden + (from - top) * rowFloats), block, rowFloats, 16, there, width), widening.Phases[0], channels, 0, before);
            for (int b = 0; b < blocks; b++)
                new SlidingBand<T>(hidden + b * block - (long)top * rowFloats, Of(zeros), height, width, row, row + rows, 0).Slide<No, No, NormaliseOnLoad<V>>(Of(kernels) + b * 9 * 16, hidden + b * block, null, new(second, b));
            return new((nint)hidden, outFloats, block, 0, row, rows, Contiguous: true, Next: 0, NextFloats: 0, Plane: 0);
        }
    }
}
