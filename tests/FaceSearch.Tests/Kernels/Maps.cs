using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>Maps and weights between their logical order (NCHW, KCHW) and the kernels' (NHWC in bf16, channels in chunks of eight).</summary>
static class Maps
{
    public static Global<ushort> Nhwc(Shape shape, float[] values)
    {
        int pitch = CudaKernels.ChannelPitch(shape.Channels), area = shape.Height * shape.Width;
        var memory = new Global<ushort>((long)shape.Images * area * pitch);
        memory.Values.Clear();
        for (int i = 0; i < values.Length; i++) memory.Values[At(shape, i, pitch)] = Bf16.Round(values[i]);
        return memory;
    }

    /// Logical values; what lies past the last channel must be zero.
    public static float[] FromNhwc(Shape shape, Span<ushort> memory)
    {
        int pitch = memory.Length / (shape.Images * shape.Height * shape.Width);
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = Bf16.ToFloat(memory[At(shape, i, pitch)]);
        for (int i = 0; i < memory.Length; i++) Assert.True(i % pitch < shape.Channels || memory[i] is 0 or 0x8000, "not zero past the last channel");
        return values;
    }

    static int At(Shape shape, int i, int pitch)
    {
        int area = shape.Height * shape.Width, pixel = i % area, c = i / area % shape.Channels, n = i / area / shape.Channels;
        return (n * area + pixel) * pitch + c;
    }

    /// Where weight [k, c, r, s] lies in [K][taps][pitch].
    public static int WeightAt(Shape weight, int i, int pitch)
    {
        int taps = weight[2] * weight[3], tap = i % taps, c = i / taps % weight[1], k = i / taps / weight[1];
        return (k * taps + tap) * pitch + c;
    }

    /// Where depthwise weight [c, 0, r, s] lies in [taps][pitch].
    public static int DepthwiseAt(Shape weight, int i, int pitch)
    {
        int taps = weight[2] * weight[3];
        return i % taps * pitch + i / taps;
    }

    public static MapArgument Argument(Shape shape, Global<ushort> data) =>
        new() { Data = data.Address, Images = shape.Images, Height = shape.Height, Width = shape.Width, Pitch = CudaKernels.ChannelPitch(shape.Channels) };
}

/// <summary>A batch norm, PReLU and residual to be applied on load, and its result on values, rounded as a kernel rounds it.</summary>
sealed class Loading : IDisposable
{
    readonly float[] scale, shift, slope, residual;
    readonly Shape shape;
    readonly List<IDisposable> owned = [];

    public OnLoadArgument Argument { get; }

    public Loading(Shape shape, bool withSlope, bool withResidual)
    {
        this.shape = shape;
        (scale, shift, slope, residual) = (Bf16.Normal(shape.Channels, 11), Bf16.Normal(shape.Channels, 12), Bf16.Normal(shape.Channels, 13, 0.3), withResidual ? Bf16.Normal((int)shape.Count, 14) : []);
        nint Vector(float[] values)
        {
            var padded = new Global<float>(CudaKernels.ChannelPitch(shape.Channels));
            owned.Add(padded);
            padded.Values.Clear();
            values.CopyTo(padded.Values);
            return padded.Address;
        }
        if (!withSlope) slope = [.. slope.Select(_ => 1f)];
        var map = withResidual ? Maps.Nhwc(shape, residual) : null;
        if (map is not null) owned.Add(map);
        Argument = new() { Scale = Vector(scale), Shift = Vector(shift), Slope = withSlope ? Vector(slope) : 0, Residual = map?.Address ?? 0 };
    }

    public float[] Apply(float[] x)
    {
        int area = shape.Height * shape.Width;
        return [.. x.Select((value, i) =>
        {
            int c = i / area % shape.Channels;
            float v = scale[c] * value + shift[c];
            return Bf16.Rounded((v > 0 ? v : slope[c] * v) + (residual.Length > 0 ? residual[i] : 0));
        })];
    }

    public void Dispose() => owned.ForEach(memory => memory.Dispose());
}

/// <summary>
/// A convolution on emulated kernels and on the reference; a dense one where asked by those for compute capability 9.0, but for a strided data gradient. Results are sums in fp32: off by 2⁻²¹ of the sum of their
/// terms' sizes, which the reference computes from the operands' sizes; stored as bf16 by 2⁻⁸ of themselves more.
/// </summary>
sealed class ConvolutionCase(Shape x, Shape weight, Sliding sliding, bool normalise, bool withSlope, bool withResidual, bool hopper = false)
{
    readonly Shape y = Shape.Map(x.Images, weight[0], sliding.Outputs(x.Height, weight[2]), sliding.Outputs(x.Width, weight[3]));
    bool Depthwise => sliding.Groups > 1;
    string What => $"{x} by {weight}, {sliding}, on load {normalise} {withSlope} {withResidual}{(hopper ? ", for 9.0" : "")} (seed {Bf16.Seed})";

    delegate void Reference3(Reference device, Tensor x, Tensor weight, Tensor y);

    public void Check(Order order = Order.Forwards)
    {
        float[] inX = Bf16.Normal((int)x.Count, 0), inW = Bf16.Normal((int)weight.Count, 1, 0.2), inDy = Bf16.Normal((int)y.Count, 2);
        using var loading = normalise ? new Loading(x, withSlope, withResidual) : null;
        float[] loaded = loading?.Apply(inX) ?? inX;
        using Global<ushort> mapX = Maps.Nhwc(x, inX), mapDy = Maps.Nhwc(y, inDy), outY = new(mapDy.Count), outDx = new(mapX.Count);
        int pitchX = CudaKernels.ChannelPitch(x.Channels), pitchY = CudaKernels.ChannelPitch(y.Channels), taps = weight[2] * weight[3];
        int At(int i) => Depthwise ? Maps.DepthwiseAt(weight, i, pitchX) : Maps.WeightAt(weight, i, pitchX);
        using var memoryW = new Global<ushort>((long)(Depthwise ? 1 : weight[0]) * taps * pitchX);
        memoryW.Values.Clear();
        for (int i = 0; i < inW.Length; i++) memoryW.Values[At(i)] = Bf16.Round(inW[i]);
        int tiles = CudaKernels.MomentTiles(y.Images, y.Height, y.Width), outputs = y.Images * y.Height * y.Width, slice = CudaKernels.SliceDepth(outputs, 3, hopper ? 64 : 32), slices = (outputs + slice - 1) / slice;
        using Global<float> moments = new(2L * tiles * pitchY), slicesW = new(slices * memoryW.Count), dw = new(memoryW.Count), meanAndVariance = new(2 * y.Channels);

        if (Depthwise)
        {
            var args = new DepthwiseArguments
            {
                X = Maps.Argument(x, mapX), On = loading?.Argument ?? default, Weight = memoryW.Address, Dy = mapDy.Address, Y = outY.Address, Moments = moments.Address,
                OutHeight = y.Height, OutWidth = y.Width,
                KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding, SliceOutputs = slice,
            };
            Emulator.Run(CudaKernels.DepthwiseForward(args), args, order);
            args.Y = slicesW.Address;
            Emulator.Run(CudaKernels.DepthwiseWeight(args), args, order);
            args = args with { X = Maps.Argument(y, mapDy), Y = outDx.Address, OutHeight = x.Height, OutWidth = x.Width, On = default };
            Emulator.Run(CudaKernels.DepthwiseData(args), args, order);
        }
        else
        {
            var args = new Conv2dArguments
            {
                X = Maps.Argument(x, mapX), On = loading?.Argument ?? default, Weight = memoryW.Address, Dy = mapDy.Address, Y = outY.Address, Moments = moments.Address,
                OutHeight = y.Height, OutWidth = y.Width, PitchY = pitchY, K = weight[0],
                KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding, SliceOutputs = slice,
            };
            Run(Conv2dPass.Forward, args, hopper, order);
            Run(Conv2dPass.Weight, args with { Y = slicesW.Address }, hopper, order);
            args = args with { X = Maps.Argument(y, mapDy), Y = outDx.Address, OutHeight = x.Height, OutWidth = x.Width, PitchY = pitchX, Moments = 0, On = default };
            Run(Conv2dPass.Data, args, hopper && sliding.Stride == 1, order);
        }
        var sum = new SumSlicesArguments { Slices = slicesW.Address, To = dw.Address, Count = dw.Count, Number = slices };
        Emulator.Run(CudaKernels.SumSlices(sum), sum, order);
        var joint = new Conv2dMomentsArguments
        {
            Tiles = moments.Address, Moments = meanAndVariance.Address, Outputs = outputs, Pitch = pitchY, Channels = y.Channels, TileOutputs = CudaKernels.TileSide,
        };
        Emulator.Run(CudaKernels.Conv2dMoments(joint), joint, order);

        float[] resultY = Maps.FromNhwc(y, outY.Values), resultDx = Maps.FromNhwc(x, outDx.Values), resultDw = [.. Enumerable.Range(0, inW.Length).Select(i => dw.Values[At(i)])];
        Results = [.. resultY, .. resultDx, .. resultDw, .. meanAndVariance.Values];
        if (order != Order.Forwards) return;
        Compare("y", y, resultY, true, loaded, inW, (device, a, b, c) => device.Conv2d(a, b, c, sliding, null), x, weight);
        Compare("dx", x, resultDx, true, inDy, inW, (device, a, b, c) => device.Conv2dData(a, b, c, sliding), y, weight);
        Compare("dweight", weight, resultDw, false, loaded, inDy, (device, a, b, c) => device.Conv2dWeight(a, b, c, sliding), x, y);
        CheckMoments(resultY, meanAndVariance.Values);
    }

    static void Run(Conv2dPass pass, Conv2dArguments args, bool hopper, Order order)
    {
        using var x = hopper ? Emulator.TensorMap(CudaKernels.GatherPlan(pass, args)) : null;
        using var weight = hopper ? Emulator.TensorMap(CudaKernels.WeightPlan(pass, args)) : null;
        using var dy = hopper ? Emulator.TensorMap(CudaKernels.DyPlan(args)) : null;
        if (hopper) args = args with { X = args.X with { Data = x!.Address }, Weight = weight!.Address, Dy = dy!.Address };
        Emulator.Run(CudaKernels.Conv2d(pass, args, hopper), args, order);
    }

    /// Everything the kernels wrote.
    public float[] Results { get; private set; } = [];

    void Compare(string name, Shape shape, float[] actual, bool bf16, float[] a, float[] b, Reference3 op, Shape shapeA, Shape shapeB)
    {
        double[] expected = Run(a, b), sizes = Run([.. a.Select(MathF.Abs)], [.. b.Select(MathF.Abs)]);
        for (int i = 0; i < actual.Length; i++)
        {
            double bound = sizes[i] / (1 << 21) + (bf16 ? Math.Abs(expected[i]) / 256 : 0) + 1e-30;
            Assert.True(Math.Abs(actual[i] - expected[i]) <= bound, $"{name} of {What}: element {i} is {actual[i]:R}, expected {expected[i]:R} ± {bound:E1}");
        }

        double[] Run(float[] p, float[] q)
        {
            using var device = new Reference();
            Tensor left = device.From(shapeA, p), right = device.From(shapeB, q), result = device.New(shape);
            op(device, left, right, result);
            return Reference.Of(result).ToArray();
        }
    }

    /// Mean and variance of what was stored.
    void CheckMoments(float[] values, Span<float> moments)
    {
        int area = y.Height * y.Width;
        for (int c = 0; c < y.Channels; c++)
        {
            double[] channel = [.. values.Where((_, i) => i / area % y.Channels == c).Select(v => (double)v)];
            double mean = channel.Average(), variance = channel.Average(v => (v - mean) * (v - mean)), size = channel.Max(Math.Abs);
            Assert.True(Math.Abs(moments[c] - mean) <= 2e-6 * size, $"mean of channel {c} of {What}: {moments[c]:R}, expected {mean:R}");
            Assert.True(Math.Abs(moments[y.Channels + c] - variance) <= 4e-6 * variance + 1e-12 * size * size, $"variance of channel {c} of {What}: {moments[y.Channels + c]:R}, expected {variance:R}");
        }
    }
}
