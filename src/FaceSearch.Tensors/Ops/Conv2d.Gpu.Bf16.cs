using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Convolutions on tensor cores (kernels/Conv2d*.cu), from maps and to maps as they lie; a deferred norm is applied as they are loaded.
/// Grouped convolutions that are not depthwise have no such kernel.
/// </summary>
public sealed partial class Gpu
{
    bool ConvolvesBf16(Tensor weight, Sliding sliding) => IsMixed && (sliding.Groups == 1 || IsDepthwise(weight, sliding));

    void Conv2dBf16(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments)
    {
        using var packed = PackWeight(weight, sliding);
        using var norm = OnLoad(x, out var on);
        int pitch = GpuLayout.Pitch(y.Shape.Channels), tileCount = CudaKernels.MomentTiles(y.Shape.Images, y.Shape.Height, y.Shape.Width);
        using var tiles = moments is null ? null : New(Shape.Of(tileCount, 2, pitch));
        if (IsDepthwise(weight, sliding))
        {
            var args = Depthwise(x, weight.Shape, y.Shape, sliding) with { On = on, Weight = Address(packed), Y = Address(y), Moments = tiles is null ? 0 : Address(tiles) };
            Start(CudaKernels.DepthwiseForward(args), args);
        }
        else
            Start(Conv2dPass.Forward, Dense(x, weight.Shape, y.Shape, sliding) with { On = on, Weight = Address(packed), Y = Address(y), Moments = tiles is null ? 0 : Address(tiles) });
        if (tiles is null) return;
        // Of the values as they were rounded, which are those of y.
        var joint = new Conv2dMomentsArguments
        {
            Tiles = Address(tiles), Moments = Address(moments!), Outputs = y.Shape.Count / y.Shape.Channels, Pitch = pitch, Channels = y.Shape.Channels, TileOutputs = CudaKernels.TileSide,
        };
        Start(CudaKernels.Conv2dMoments(joint), joint);
    }

    void Conv2dDataBf16(Tensor dy, Tensor weight, Tensor dx, Sliding sliding)
    {
        using var packed = PackWeight(weight, sliding);
        if (IsDepthwise(weight, sliding))
        {
            var args = Depthwise(dy, weight.Shape, dx.Shape, sliding) with { Weight = Address(packed), Y = Address(dx) };
            Start(CudaKernels.DepthwiseData(args), args);
        }
        else Start(Conv2dPass.Data, Dense(dy, weight.Shape, dx.Shape, sliding) with { Weight = Address(packed), Y = Address(dx) });
    }

    void Conv2dWeightBf16(Tensor x, Tensor dy, Tensor dweight, Sliding sliding)
    {
        using var norm = OnLoad(x, out var on);
        bool depthwise = IsDepthwise(dweight, sliding);
        int taps = dweight.Shape[2] * dweight.Shape[3], pitch = GpuLayout.Pitch(x.Shape.Channels), kernels = depthwise ? 1 : dweight.Shape[0], outputs = checked((int)(dy.Shape.Count / dy.Shape.Channels));
        // A depthwise block has 64 channels.
        int slices = depthwise ? CudaKernels.Slices(1, 2 * pitch, outputs, FewTiles) : CudaKernels.Slices(kernels, taps * pitch, outputs, FewTiles);
        var dense = Dense(x, dweight.Shape, dy.Shape, sliding) with { On = on, Dy = Address(dy) };
        int sliceOutputs = !depthwise && TakesHopper(Conv2dPass.Weight, dense) ? CudaKernels.SliceDepth(outputs, slices, TensorMapPlan.Box) : CudaKernels.SliceDepth(outputs, slices);
        slices = (outputs + sliceOutputs - 1) / sliceOutputs;
        using Tensor parts = New(Shape.Of(slices, kernels, taps * pitch)), sum = New(Shape.Of(kernels, taps * pitch));
        if (depthwise)
        {
            var args = Depthwise(x, dweight.Shape, dy.Shape, sliding) with { On = on, Dy = Address(dy), Y = Address(parts), SliceOutputs = sliceOutputs };
            Start(CudaKernels.DepthwiseWeight(args), args);
        }
        else Start(Conv2dPass.Weight, dense with { Y = Address(parts), SliceOutputs = sliceOutputs });
        SumSlices(parts, slices, sum);
        Pass(new UnpackWeightPoint(Of(sum), Of(dweight), InputsOf(dweight, sliding), taps, pitch), dweight.Shape.Count);
    }

    bool TakesHopper(Conv2dPass pass, in Conv2dArguments args) => Hopper && CudaKernels.FitsHopper(pass, args);

    /// A dense convolution by mma.sync, or by compute capability 9.0's own instructions with tensor maps in its operands' places.
    void Start(Conv2dPass pass, Conv2dArguments args)
    {
        bool hopper = TakesHopper(pass, args);
        if (hopper)
            args = args with
            {
                X = args.X with { Data = TensorMap(CudaKernels.GatherPlan(pass, args)) },
                Weight = args.Weight == 0 ? 0 : TensorMap(CudaKernels.WeightPlan(pass, args)), Dy = args.Dy == 0 ? 0 : TensorMap(CudaKernels.DyPlan(args)),
            };
        Start(CudaKernels.Conv2d(pass, args, hopper), args);
    }

    static Conv2dArguments Dense(Tensor x, Shape weight, Shape y, Sliding sliding) => new()
    {
        X = Argument(x), OutHeight = y.Height, OutWidth = y.Width, PitchY = GpuLayout.Pitch(y.Channels), K = weight[0],
        KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding,
    };

    static DepthwiseArguments Depthwise(Tensor x, Shape weight, Shape y, Sliding sliding) => new()
    {
        X = Argument(x), OutHeight = y.Height, OutWidth = y.Width, KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding,
    };

    /// A map as it lies, or the one it is deferred from.
    static MapArgument Argument(Tensor x) =>
        new() { Data = Address(x.Deferred?.Source ?? x), Images = x.Shape.Images, Height = x.Shape.Height, Width = x.Shape.Width, Pitch = GpuLayout.Pitch(x.Shape.Channels) };

    /// What is done to a map on its way in: the deferred norm as scale, shift and slope of each channel, which live as long as what is returned; nothing for a map in memory.
    Tensor? OnLoad(Tensor x, out OnLoadArgument on)
    {
        on = default;
        if (x.Deferred is not { } deferred) return null;
        int channels = x.Shape.Channels, pitch = GpuLayout.Pitch(channels);
        var vectors = New(Shape.Of(3, pitch));
        Pass(new OnLoadPoint(Of(deferred.Mean), Of(deferred.Inverse), Of(deferred.Gamma), Of(deferred.Beta), Of(deferred.Slope ?? deferred.Beta), Of(vectors), channels, pitch), pitch);
        nint first = Address(vectors);
        on = new() { Scale = first, Shift = first + 4 * pitch, Slope = deferred.Slope is null ? 0 : first + 8 * pitch };
        return vectors;
    }

    /// Weights as the kernels take them: bf16 [K][taps][pitch], or [taps][pitch] of a depthwise convolution.
    Tensor PackWeight(Tensor weight, Sliding sliding)
    {
        int inputs = InputsOf(weight, sliding), taps = weight.Shape[2] * weight.Shape[3], pitch = GpuLayout.Pitch(inputs);
        long count = weight.Shape.Count / inputs * pitch;
        var packed = New(Shape.Of(checked((int)(count / 2))));
        Pass(new RoundWeightPoint(Of(weight), Of(packed).Cast<ushort>(), inputs, taps, pitch), count);
        return packed;
    }

    /// A depthwise weight lies as the only kernel over all channels would.
    static int InputsOf(Tensor weight, Sliding sliding) => IsDepthwise(weight, sliding) ? weight.Shape[0] : weight.Shape[1];
}

/// <summary>
/// A norm as the factor and the shift of a channel, zeros past the last. That folds the mean into the shift, at the cost of digits which x, having
/// 8 bits, does not have either; so what is nearly zero before a PReLU may get the other sign than in the backward pass, where it does not matter which.
/// </summary>
readonly struct OnLoadPoint(View mean, View inverse, View gamma, View beta, View slope, View to, int channels, int pitch) : IPoint
{
    public void At(long c)
    {
        bool exists = c < channels;
        float scale = exists ? gamma[c] * inverse[c] : 0;
        to[c] = scale;
        to[pitch + c] = exists ? GpuMath.MultiplyAdd(-mean[c], scale, beta[c]) : 0;
        to[2L * pitch + c] = exists ? slope[c] : 0;
    }
}

/// <summary>[K][inputs][taps] → bf16 [K][taps][pitch], zeros past the inputs.</summary>
readonly struct RoundWeightPoint(View weight, ArrayView<ushort> packed, int inputs, int taps, long pitch) : IPoint
{
    public void At(long i)
    {
        long line = i / pitch, input = i - line * pitch, kernel = line / taps, tap = line - kernel * taps;
        packed[i] = input < inputs ? GpuMath.ToBf16(weight[(kernel * inputs + input) * taps + tap]) : (ushort)0;
    }
}

/// <summary>[K][taps][pitch] → [K][inputs][taps].</summary>
readonly struct UnpackWeightPoint(View packed, View weight, int inputs, int taps, long pitch) : IPoint
{
    public void At(long i)
    {
        long line = i / taps, tap = i - line * taps, kernel = line / inputs, input = line - kernel * inputs;
        weight[i] = packed[(kernel * taps + tap) * pitch + input];
    }
}
