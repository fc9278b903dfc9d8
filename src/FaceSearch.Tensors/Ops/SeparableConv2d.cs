namespace FaceSearch.Tensors;

public abstract partial class Device
{
    /// Whether the device has a kernel for <see cref="SeparableConv2d"/> of these.
    internal virtual bool FusesSeparableConv2d(Tensor depthwise, Sliding sliding, Tensor pointwise, Shape y, bool activates, bool adds) => false;
    /// x may be deferred, the residual not; the norms' sources mean nothing.
    internal virtual void SeparableConv2d(Tensor x, Tensor depthwise, Sliding sliding, Normalised inner, Tensor pointwise, Normalised outer, Tensor? residual, Tensor y) => throw new NotSupportedException();
}

public static partial class Ops
{
    /// <summary>
    /// For inference: a depthwise convolution with its norm, and the 1×1 convolution that follows with its own (Howard et al. 2017), plus a residual map; as two
    /// <see cref="Conv2dFused"/>, and in one pass where the device can. x: map [N, C, H, W]; depthwise: [C, 1, kh, kw]; pointwise: [K, C, 1, 1].
    /// </summary>
    public static Tensor SeparableConv2d(this Tensor x, Tensor depthwise, int stride, int padding, FrozenNorm inner, Tensor pointwise, FrozenNorm outer, Tensor? residual = null)
    {
        int channels = x.Shape.Channels;
        var sliding = new Sliding(stride, padding, channels);
        CheckConv2d(x, depthwise, sliding);
        Check.That(depthwise.Shape[0] == channels, $"depthwise must have {channels} kernels, one for each channel of x, but its shape is {depthwise.Shape}");
        Check.That(x.Tape is not { Records: true }, "it has no gradient, but the tape records");
        Check.Shape(pointwise, Shape.Of(pointwise.Shape[0], channels, 1, 1));
        Shape between = Shape.Map(x.Shape.Images, channels, sliding.Outputs(x.Shape.Height, depthwise.Shape[2]), sliding.Outputs(x.Shape.Width, depthwise.Shape[3]));
        Shape result = Shape.Map(between.Images, pointwise.Shape[0], between.Height, between.Width);
        if (residual is not null) Check.Shape(residual, result);
        if (!x.Device.FusesSeparableConv2d(depthwise, sliding, pointwise, result, outer.Slope is not null, residual is not null))
        {
            var first = x.Conv2dFused(depthwise, stride, padding, channels, inner);
            var second = first.Conv2dFused(pointwise, 1, 0, 1, outer, residual);
            second.Outlives(first);
            return second;
        }
        var y = x.Like(result);
        x.Device.SeparableConv2d(x.Unflattened(), depthwise, sliding, Norm(x, inner), pointwise, Norm(y, outer), residual?.Settled(), y);
        var cost = Cost.OfMacs(between.Count * depthwise.Shape.Cols + y.Shape.Count * channels, x, depthwise, pointwise, y) + FusedCost(between, inner, null) + FusedCost(y.Shape, outer, residual);
        return y.From("conv2d depthwise + pointwise", cost, default, [x, depthwise, pointwise], _ => { });
    }
}
