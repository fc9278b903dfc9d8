namespace FaceSearch.Tensors;

/// <summary>
/// A band of rows goes through both convolutions while it is in the second-level cache: block by block the depthwise one, from normalised rows in scratch
/// to normalised rows in scratch, then the pointwise one over all of them. The map between them is never in memory.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    internal override bool FusesSeparableConv2d(Tensor depthwise, Sliding sliding, Tensor pointwise, Shape y, bool activates, bool adds) =>
        IsDepthwise3x3(depthwise, sliding) && FusesConv2d(pointwise, y, Pointwise, activates, adds);

    internal override void SeparableConv2d(Tensor x, Tensor depthwise, Sliding sliding, Normalised inner, Tensor pointwise, Normalised outer, Tensor? residual, Tensor y)
    {
        using Tensor packed = Pack3x3(depthwise, turned: false), zeros = ZeroRow(x.Shape.Width);
        using var folded = new Folded(outer, residual, y);
        MakeBand make = sliding.Stride == 1
            ? (image, first, rows, worker) => DepthwiseBand<Size1>(x, packed, zeros, inner, image, first, rows, worker)
            : (image, first, rows, worker) => DepthwiseBand<Size2>(x, packed, zeros, inner, image, first, rows, worker);
        var plan = Correlation.Forward(pointwise.Shape, y.Shape, Pointwise);
        Correlate(x, pointwise, y, plan, new(pointwise.Shape, 1, transposed: false), null, folded, new(plan.Frame.RowsWithin(TileFloats, CpuLayout.Blocks(x.Shape.Channels)), make));
    }

    static Sliding Pointwise => new(Stride: 1, Padding: 0, Groups: 1);

    /// Rows of all channels of a depthwise convolution with its norm.
    InputBand DepthwiseBand<T>(Tensor x, Tensor packed, Tensor zeros, Normalised norm, int image, int first, int rows, int worker) where T : ISize
    {
        var (s, deferred) = (x.Shape, x.Deferred);
        int blocks = CpuLayout.Blocks(s.Channels), rowFloats = s.Width * 16, outFloats = (s.Width + T.Value - 1) / T.Value * 16;
        long plane = (long)s.Height * rowFloats, block = (long)rows * outFloats;
        float* sums = Scratch(worker, blocks * block), scratch = deferred is null ? null : Scratch(worker, (rows * T.Value + 3L - T.Value) * rowFloats, second: true);
        float* from = Of(deferred?.Source ?? x) + image * blocks * plane;
        for (int b = 0; b < blocks; b++, from += plane)
        {
            var band = new SlidingBand<T>(from, Of(zeros), s.Height, s.Width, first, first + rows, AheadFloats);
            if (deferred is not null) band = NormaliseBand(band, new(deferred, b), scratch, rows, kept: 0, further: plane);
            band.Slide<No, No, NormaliseOnLoad<V>>(Of(packed) + b * 9 * 16, sums + b * block, null, new(norm, b));
        }
        return new((nint)sums, outFloats, block, blocks * block, first, rows, Contiguous: true, Next: 0, NextFloats: 0, Plane: 0);
    }
}
