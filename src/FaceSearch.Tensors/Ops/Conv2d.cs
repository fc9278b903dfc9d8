namespace FaceSearch.Tensors;

/// <summary>How a kernel moves over a map: the same step and zero border in both directions, channels in separate groups.</summary>
readonly record struct Sliding(int Stride, int Padding, int Groups)
{
    /// <summary>Length of the output along one direction.</summary>
    public int Outputs(int inputs, int kernel) => (inputs + 2 * Padding - kernel) / Stride + 1;
}

public abstract partial class Device
{
    /// x may be deferred. Moments [2, K], unless null, get the mean and the biased variance of y's channels.
    internal abstract void Conv2d(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments);
    internal abstract void Conv2dData(Tensor dy, Tensor weight, Tensor dx, Sliding sliding);
    /// x may be deferred.
    internal abstract void Conv2dWeight(Tensor x, Tensor dy, Tensor dweight, Sliding sliding);
    /// Whether the device has a <see cref="Conv2dDataAdded"/> for these that beats a gradient of its own and an addition.
    internal virtual bool AddsConv2dData(Tensor weight, Shape y, Sliding sliding) => false;
    /// <see cref="Conv2dData"/> added to what is in dx.
    internal virtual void Conv2dDataAdded(Tensor dy, Tensor weight, Tensor dx, Sliding sliding) => throw new NotSupportedException();
    /// Both gradients, for devices that have them cheaper together; dx's may be added to what is there. x may be deferred.
    internal virtual void Conv2dBackward(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight, Sliding sliding, bool adds = false)
    {
        Conv2dWeight(x, dy, dweight, sliding);
        if (adds) Conv2dDataAdded(dy, weight, dx, sliding);
        else Conv2dData(dy, weight, dx, sliding);
    }
    /// Whether <see cref="Conv2dBackward"/> takes a dy that is <see cref="Tensor.Unfinished"/>. It may finish it in its memory, unless that is shared.
    internal virtual bool FinishesNorms(Tensor weight, Shape y, Sliding sliding) => false;
}

public static partial class Ops
{
    /// <summary>
    /// Convolution without bias: y[n,k,i,j] = Σ_{c,r,s} weight[k,c,r,s] · x[n, c, i·stride + r − padding, j·stride + s − padding],
    /// zero outside x. x: map [N, C, H, W]; weight: [K, C/groups, kh, kw]; y: map [N, K, H', W'].
    /// Output k sees the C/groups input channels of its group; groups = C = K is a depthwise convolution.
    /// Backward keeps x and weight. On a recording tape y's moments are taken while it is in the cache, for the batch norm
    /// that follows a convolution everywhere.
    /// </summary>
    public static Tensor Conv2d(this Tensor x, Tensor weight, int stride = 1, int padding = 0, int groups = 1)
    {
        var sliding = new Sliding(stride, padding, groups);
        CheckConv2d(x, weight, sliding);
        if (groups > 1) x.Unflattened();
        Shape s = x.Shape, w = weight.Shape;
        var y = x.Like(Shape.Map(s.Images, w[0], sliding.Outputs(s.Height, w[2]), sliding.Outputs(s.Width, w[3])));
        if (x.Tape is { Records: true })
        {
            y.Moments = x.Like(Shape.Of(2, w[0]));
            y.FinishesGradient = x.NeedsGradient && weight.NeedsGradient && x.Device.FinishesNorms(weight, y.Shape, sliding);
        }
        x.Device.Conv2d(x, weight, y, sliding, y.Moments);
        long macs = y.Shape.Count * w.Cols;
        var backward = (x.NeedsGradient ? Cost.OfMacs(macs, y, weight, x) : default) + (weight.NeedsGradient ? Cost.OfMacs(macs, x, y, weight) : default);
        return y.From("conv2d", Cost.OfMacs(macs, x, weight, y), backward, [x, weight], dy =>
        {
            // Finished apart, it leaves the memory that it shares with x's gradient, to which then is added in place, whatever the device can.
            if (!x.NeedsGradient || !weight.NeedsGradient || x.Gradient is { } others && others.Memory == dy.Memory) dy = y.FinishGradient()!;
            var sum = x.NeedsGradient && x.Device.AddsConv2dData(weight, dy.Shape, sliding) ? x.GradientToAddTo : null;
            Tensor? dweight = weight.NeedsGradient ? weight.Like() : null, dx = x.NeedsGradient && sum is null ? x.Like() : null;
            sum?.DropNormSums();
            if (dweight is not null && (dx ?? sum) is { } both) x.Device.Conv2dBackward(x, dy, weight, both, dweight, sliding, adds: sum is not null);
            else if (dweight is not null) x.Device.Conv2dWeight(x, dy, dweight, sliding);
            else if (sum is not null) x.Device.Conv2dDataAdded(dy, weight, sum, sliding);
            else if (dx is not null) x.Device.Conv2dData(dy, weight, dx, sliding);
            if (dweight is not null) weight.Accumulate(dweight);
            if (dx is not null) x.Accumulate(dx);
        });
    }

    static void CheckConv2d(Tensor x, Tensor weight, Sliding sliding)
    {
        const string op = nameof(Conv2d);
        Check.Map(x, op);
        Check.Rank(weight, 4, op);
        Check.SameDevice(x, weight, op);
        var (stride, padding, groups) = sliding;
        Check.That(stride > 0 && padding >= 0 && groups > 0, $"stride {stride} and groups {groups} must be at least 1, padding {padding} at least 0", op);
        Shape s = x.Shape, w = weight.Shape;
        Check.That(s.Channels % groups == 0 && w[0] % groups == 0, $"{groups} groups must divide the {s.Channels} channels of x and the {w[0]} outputs of weight", op);
        Check.Shape(weight, Shape.Of(w[0], s.Channels / groups, w[2], w[3]), op);
        Check.That(s.Height + 2 * padding >= w[2] && s.Width + 2 * padding >= w[3],
            $"x must be at least as large as the {w[2]}×{w[3]} kernel but is {s.Height}×{s.Width} with padding {padding}", op);
    }
}

public sealed partial class Meter
{
    internal override void Conv2d(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments) { }
    internal override void Conv2dData(Tensor dy, Tensor weight, Tensor dx, Sliding sliding) { }
    internal override void Conv2dWeight(Tensor x, Tensor dy, Tensor dweight, Sliding sliding) { }
}
