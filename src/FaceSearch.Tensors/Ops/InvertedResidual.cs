namespace FaceSearch.Tensors;

/// <summary>A convolution without bias and the norm that follows it at inference.</summary>
public readonly record struct NormedConv(Tensor Weight, FrozenNorm Norm, int Stride = 1, int Padding = 0);

public abstract partial class Device
{
    /// Whether the device has a kernel for <see cref="InvertedResidual"/> of these; y is its result, without a project the depthwise one's.
    internal virtual bool FusesInvertedResidual(NormedConv expand, Shape wide, NormedConv depthwise, NormedConv? project, Shape y, bool adds) => false;
    /// x may be deferred, the residual not; `norms` are the convolutions' own, their sources mean nothing.
    internal virtual void InvertedResidual(Tensor x, NormedConv expand, Shape wide, NormedConv depthwise, NormedConv? project, Normalised[] norms, Tensor? residual, Tensor y) => throw new NotSupportedException();
}

public static partial class Ops
{
    /// <summary>
    /// For inference: a dense convolution (in an inverted residual a 1×1 one, to more channels), a depthwise one, and a 1×1 one to fewer if there is a project, each with its
    /// norm, plus a residual map (Sandler et al. 2018); as <see cref="Conv2dFused"/> and <see cref="SeparableConv2d"/>, and in one pass where the device can: what the first
    /// makes is then never in memory. x: map [N, C, H, W]; expand: [E, C, h, w]; depthwise: [E, 1, kh, kw]; project: [K, E, 1, 1].
    /// </summary>
    public static Tensor InvertedResidual(this Tensor x, NormedConv expand, NormedConv depthwise, NormedConv? project, Tensor? residual = null)
    {
        CheckConv2d(x, expand.Weight, new(expand.Stride, expand.Padding, Groups: 1));
        Check.That(x.Tape is not { Records: true }, "it has no gradient, but the tape records");
        Check.Rank(depthwise.Weight, 4);
        foreach (var other in (ReadOnlySpan<Tensor>)[depthwise.Weight, project?.Weight ?? x, residual ?? x]) Check.SameDevice(x, other, name: "depthwise, project, residual");
        int channels = expand.Weight.Shape[0], kernels = depthwise.Weight.Shape[0];
        Check.That(kernels == channels && depthwise.Weight.Shape[1] == 1, $"depthwise must have {channels} kernels, one for each channel of expand, but its shape is {depthwise.Weight.Shape}");
        Shape wide = After(x.Shape, expand), kernel = depthwise.Weight.Shape;
        Check.That(wide.Height + 2 * depthwise.Padding >= kernel[2] && wide.Width + 2 * depthwise.Padding >= kernel[3],
            $"what expand makes, {wide.Height}×{wide.Width} with padding {depthwise.Padding}, must be at least as large as the {kernel[2]}×{kernel[3]} kernel of depthwise");
        Shape between = After(wide, depthwise), result = project is { } last ? After(between, last) : between;
        if (project is { } check) Check.Shape(check.Weight, Shape.Of(result.Channels, channels, 1, 1), name: nameof(project));
        if (residual is not null) Check.Shape(residual, result);
        if (!x.Device.FusesInvertedResidual(expand, wide, depthwise, project, result, residual is not null))
        {
            var first = x.Conv2dFused(expand.Weight, expand.Stride, expand.Padding, 1, expand.Norm);
            var second = project is { } then ? first.SeparableConv2d(depthwise.Weight, depthwise.Stride, depthwise.Padding, depthwise.Norm, then.Weight, then.Norm, residual)
                : first.Conv2dFused(depthwise.Weight, depthwise.Stride, depthwise.Padding, channels, depthwise.Norm, residual);
            second.Outlives(first);
            return second;
        }
        // A pixel stands for the wide maps.
        Tensor y = x.Like(result), pixel = x.Like(Shape.Map(1, channels, 1, 1));
        Normalised[] norms = [Norm(pixel, expand.Norm), Norm(pixel, depthwise.Norm), .. project is { } third ? [Norm(y, third.Norm)] : Array.Empty<Normalised>()];
        x.Device.InvertedResidual(x, expand, wide, depthwise, project, norms, residual?.Settled(), y);
        var cost = Cost.OfMacs(wide.Count * expand.Weight.Shape.Cols + between.Count * depthwise.Weight.Shape.Cols, x, expand.Weight, depthwise.Weight, y) + FusedCost(wide, expand.Norm, null)
            + (project is { } end ? FusedCost(between, depthwise.Norm, null) + Cost.OfMacs(result.Count * channels, end.Weight) + FusedCost(result, end.Norm, residual) : FusedCost(result, depthwise.Norm, residual));
        return y.From(project is null ? "conv2d + depthwise" : "inverted residual", cost, default, [x, expand.Weight, depthwise.Weight, project?.Weight], _ => { });
    }

    static Shape After(Shape x, NormedConv conv)
    {
        var (sliding, w) = (new Sliding(conv.Stride, conv.Padding, 1), conv.Weight.Shape);
        return Shape.Map(x.Images, w[0], sliding.Outputs(x.Height, w[2]), sliding.Outputs(x.Width, w[3]));
    }
}
