namespace FaceSearch.Tensors;

/// <summary>
/// Both gradients of a 1×1 convolution in one pass over dy, where a batch norm left dy <see cref="UnfinishedNorm"/>: band by band of the weight's
/// gradient it is finished, multiplied by the weights, and by x, while it is in the cache. Each band asks for the next one of all that it reads.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    internal override bool FinishesNorms(Tensor weight, Shape y, Sliding sliding) => IsDepthwise3x3(weight, sliding) || IsPointwise(weight, sliding) && SharesBands(weight.Shape, y.Images);

    static bool IsPointwise(Tensor weight, Sliding sliding) => weight.Shape is { Height: 1, Width: 1 } && sliding is { Stride: 1, Padding: 0, Groups: 1 };

    /// Whether all slices of outputs share a band, and the partial sums alone keep all threads busy. No result depends on it.
    bool SharesBands(Shape weight, int images)
    {
        long floats = new WeightChannels(weight, 1, transposed: false).PackedFloats(1);
        return floats <= SharedFloats && PartialsOf(images, floats) >= 2 * workers.Count;
    }

    internal override void Conv2dBackward(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight, Sliding sliding, bool adds)
    {
        if (!IsDepthwise3x3(weight, sliding))
        {
            if (dy.Unfinished is null) base.Conv2dBackward(x, dy, weight, dx, dweight, sliding, adds);
            else PointwiseBackward(x, dy, weight, dx, dweight, sliding, adds);
            return;
        }
        if (dy.Unfinished is { } rest && dy.IsShared)
        {
            using var finished = New(dy.Shape);
            FinishNorm(rest, dy, finished);
            Depthwise3x3Backward(x, finished, weight, dx, dweight, sliding);
        }
        else Depthwise3x3Backward(x, dy, weight, dx, dweight, sliding);
    }

    void PointwiseBackward(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight, Sliding sliding, bool adds)
    {
        var plan = Correlation.Backward(weight.Shape, dx.Shape, sliding);
        var channels = new WeightChannels(weight.Shape, 1, transposed: true);
        using var packed = Packed(weight, plan, channels, null);
        DirectWeight(x, dy, dweight, Correlation.Forward(dweight.Shape, dy.Shape, sliding), new(dweight.Shape, 1, transposed: false), new(this, dy, packed, plan, channels, dx, adds));
    }

    /// A band of dy, finished: its first pixel, and the distances of channel blocks and images.
    readonly record struct FinishedBand(nint Pixels, long BlockFloats, long ImageFloats);

    /// <summary>The part of the pass that a weight gradient by itself does not have.</summary>
    sealed class PointwiseData(Cpu<V> device, Tensor dy, Tensor packed, Correlation plan, WeightChannels channels, Tensor dx, bool adds)
    {
        readonly UnfinishedNorm rest = dy.Unfinished!;
        readonly NormaliseBackward[] norms = NormaliseBackward.OfBlocks(dy.Unfinished!);
        // What somebody else reads, too, is finished elsewhere.
        readonly bool inPlace = !dy.IsShared;

        /// Finishes some rows of some images of dy, and writes theirs of dx, or adds to them.
        public FinishedBand Add(int image, int images, int first, int rows, int worker)
        {
            var s = dy.Shape;
            int pixels = rows * s.Width;
            long plane = (long)s.Height * s.Width * 16, start = image * norms.Length * plane + (long)first * s.Width * 16;
            var band = inPlace ? new FinishedBand((nint)(Of(dy) + start), plane, norms.Length * plane)
                : new((nint)device.Scratch(worker, images * norms.Length * pixels * 16L, second: true), pixels * 16, norms.Length * pixels * 16L);
            // Read next: these rows of the images after these, or the rows after these.
            long later = first + rows < s.Height ? pixels * 16 : images * norms.Length * plane - (long)first * s.Width * 16;
            for (int i = 0; i < images; i++)
            {
                float* to = (float*)band.Pixels + i * band.ImageFloats, source = Of(rest.Y.Source) + start + i * norms.Length * plane;
                for (int block = 0; block < norms.Length; block++)
                    InputGradient<Whole>(norms[block], pixels, 16, 16, source + block * plane, Of(dy) + start + (i * norms.Length + block) * plane, to + block * band.BlockFloats);
                var input = new InputBand((nint)to, s.Width * 16, band.BlockFloats, band.ImageFloats, first, rows, Contiguous: true, Next: 0, NextFloats: 0, Plane: 0);
                CorrelateBand(input, new(source + later - to, plane - band.BlockFloats), Of(packed), OutputBand.Of(dx, image + i, first, rows, 1, plan.Phases[0]), plan.Phases[0], channels, 0, null, adds);
            }
            return band;
        }
    }
}
