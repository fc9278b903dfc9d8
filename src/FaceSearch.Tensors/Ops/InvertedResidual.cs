namespace FaceSearch.Tensors;

/// <summary>A convolution's weight and the norm that follows it at inference.</summary>
public readonly record struct NormedWeight(Tensor Weight, FrozenNorm Norm);

public abstract partial class Device
{
    /// Whether the device has a kernel for <see cref="InvertedResidual"/> of these.
    internal virtual bool FusesInvertedResidual(Tensor expand, Shape hidden, Tensor depthwise, Sliding sliding, Tensor project, Shape y, bool activates) => false;
    /// x may be deferred, the residual not; the norms' sources mean nothing.
    internal virtual void InvertedResidual(Tensor x, Tensor expand, Normalised first, Tensor depthwise, Sliding sliding, Normalised second, Tensor project, Normalised third, Tensor? residual, Tensor y) => throw new NotSupportedException();
}

public static partial class Ops
{
    /// <summary>
    /// For inference: a 1×1 convolution to more channels, a depthwise one, and a 1×1 one to fewer, each with its norm, plus a residual map (Sandler et al. 2018);
    /// as <see cref="Conv2dFused"/> and <see cref="SeparableConv2d"/>, and in one pass where the device can: the wide maps are then never in memory.
    /// x: map [N, C, H, W]; expand: [E, C, 1, 1]; depthwise: [E, 1, kh, kw]; project: [K, E, 1, 1].
    /// </summary>
    public static Tensor InvertedResidual(this Tensor x, NormedWeight expand, NormedWeight depthwise, int stride, int padding, NormedWeight project, Tensor? residual = null)
    {
        int wide = expand.Weight.Shape[0];
        Check.Shape(expand.Weight, Shape.Of(wide, x.Shape.Channels, 1, 1));
        Shape hidden = Shape.Map(x.Shape.Images, wide, x.Shape.Height, x.Shape.Width), d = depthwise.Weight.Shape;
        var sliding = new Sliding(stride, padding, wide);
        Check.That(d.Rank == 4 && d[0] == wide && d[1] == 1, $"depthwise must have {wide} kernels, one for each channel of expand, but its shape is {d}");
        Shape between = Shape.Map(hidden.Images, wide, sliding.Outputs(hidden.Height, d[2]), sliding.Outputs(hidden.Width, d[3]));
        Shape result = Shape.Map(between.Images, project.Weight.Shape[0], between.Height, between.Width);
        if (x.Tape is { Records: true } || !x.Device.FusesInvertedResidual(expand.Weight, hidden, depthwise.Weight, sliding, project.Weight, result, project.Norm.Slope is not null))
        {
            var first = x.Conv2dFused(expand.Weight, 1, 0, 1, expand.Norm);
            var second = first.SeparableConv2d(depthwise.Weight, stride, padding, depthwise.Norm, project.Weight, project.Norm, residual);
            second.Outlives(first);
            return second;
        }
        Check.Shape(project.Weight, Shape.Of(result.Channels, wide, 1, 1));
        if (residual is not null) Check.Shape(residual, result);
        // A pixel stands for the wide maps.
        Tensor y = x.Like(result), pixel = x.Like(Shape.Map(1, wide, 1, 1));
        x.Device.InvertedResidual(x, expand.Weight, Norm(pixel, expand.Norm), depthwise.Weight, sliding, Norm(pixel, depthwise.Norm), project.Weight, Norm(y, project.Norm), residual?.Settled(), y);
        var cost = Cost.OfMacs(hidden.Count * x.Shape.Channels + between.Count * d.Cols + result.Count * wide, x, expand.Weight, depthwise.Weight, project.Weight, y)
            + FusedCost(hidden, expand.Norm, null) + FusedCost(between, depthwise.Norm, null) + FusedCost(result, project.Norm, residual);
        return y.From("inverted residual", cost, default, [x, expand.Weight, depthwise.Weight, project.Weight], _ => { });
    }
}
