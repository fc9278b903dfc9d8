using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Convolutions on tensor cores (kernels/Conv2d*.cu). Operands are rounded to bf16 on the way, a deferred norm applied as they are;
/// results become floats again. Grouped convolutions that are not depthwise have no such kernel.
/// </summary>
public sealed partial class Gpu
{
    /// A map in bf16, laid out as the floats are.
    readonly record struct Bf16Map(Tensor Elements, Shape Shape) : IDisposable
    {
        public MapArgument Argument => new() { Data = Address(Elements), Images = Shape.Images, Height = Shape.Height, Width = Shape.Width, Pitch = GpuLayout.Pitch(Shape.Channels) };
        public ArrayView<ushort> Values => Of(Elements).Cast<ushort>();
        public void Dispose() => Elements.Dispose();
    }

    bool ConvolvesBf16(Tensor weight, Sliding sliding) => IsMixed && (sliding.Groups == 1 || IsDepthwise(weight, sliding));

    void Conv2dBf16(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments)
    {
        using Bf16Map from = Round(x), to = NewMap(y.Shape);
        using var packed = PackWeight(weight, sliding);
        int pitch = GpuLayout.Pitch(y.Shape.Channels), tileCount = CudaKernels.MomentTiles(y.Shape.Images, y.Shape.Height, y.Shape.Width);
        using var tiles = moments is null ? null : New(Shape.Of(tileCount, 2, pitch));
        if (IsDepthwise(weight, sliding))
        {
            var args = Depthwise(from, weight.Shape, y.Shape, sliding) with { Weight = Address(packed), Y = Address(to.Elements), Moments = tiles is null ? 0 : Address(tiles) };
            Start(CudaKernels.DepthwiseForward(args), args);
        }
        else
        {
            var args = Dense(from, weight.Shape, y.Shape, sliding) with { Weight = Address(packed), Y = Address(to.Elements), Moments = tiles is null ? 0 : Address(tiles) };
            Start(CudaKernels.Conv2dForward(args), args);
        }
        Widen(to, y);
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
        using Bf16Map from = Round(dy), to = NewMap(dx.Shape);
        using var packed = PackWeight(weight, sliding);
        if (IsDepthwise(weight, sliding))
        {
            var args = Depthwise(from, weight.Shape, dx.Shape, sliding) with { Weight = Address(packed), Y = Address(to.Elements) };
            Start(CudaKernels.DepthwiseData(args), args);
        }
        else
        {
            var args = Dense(from, weight.Shape, dx.Shape, sliding) with { Weight = Address(packed), Y = Address(to.Elements) };
            Start(CudaKernels.Conv2dData(args), args);
        }
        Widen(to, dx);
    }

    void Conv2dWeightBf16(Tensor x, Tensor dy, Tensor dweight, Sliding sliding)
    {
        using Bf16Map from = Round(x), gradient = Round(dy);
        bool depthwise = IsDepthwise(dweight, sliding);
        int taps = dweight.Shape[2] * dweight.Shape[3], pitch = GpuLayout.Pitch(x.Shape.Channels), kernels = depthwise ? 1 : dweight.Shape[0], outputs = checked((int)(dy.Shape.Count / dy.Shape.Channels));
        // A depthwise block has 64 channels.
        int slices = depthwise ? CudaKernels.Slices(1, 2 * pitch, outputs, FewTiles) : CudaKernels.Slices(kernels, taps * pitch, outputs, FewTiles);
        int sliceOutputs = CudaKernels.SliceDepth(outputs, slices);
        slices = (outputs + sliceOutputs - 1) / sliceOutputs;
        using Tensor parts = New(Shape.Of(slices, kernels, taps * pitch)), sum = New(Shape.Of(kernels, taps * pitch));
        if (depthwise)
        {
            var args = Depthwise(from, dweight.Shape, dy.Shape, sliding) with { Dy = Address(gradient.Elements), Y = Address(parts), SliceOutputs = sliceOutputs };
            Start(CudaKernels.DepthwiseWeight(args), args);
        }
        else
        {
            var args = Dense(from, dweight.Shape, dy.Shape, sliding) with { Dy = Address(gradient.Elements), Y = Address(parts), SliceOutputs = sliceOutputs };
            Start(CudaKernels.Conv2dWeight(args), args);
        }
        SumSlices(parts, slices, sum);
        Pass(new UnpackWeightPoint(Of(sum), Of(dweight), InputsOf(dweight, sliding), taps, pitch), dweight.Shape.Count);
    }

    static Conv2dArguments Dense(Bf16Map x, Shape weight, Shape y, Sliding sliding) => new()
    {
        X = x.Argument, OutHeight = y.Height, OutWidth = y.Width, PitchY = GpuLayout.Pitch(y.Channels), K = weight[0],
        KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding,
    };

    static DepthwiseArguments Depthwise(Bf16Map x, Shape weight, Shape y, Sliding sliding) => new()
    {
        X = x.Argument, OutHeight = y.Height, OutWidth = y.Width, KernelHeight = weight[2], KernelWidth = weight[3], Stride = sliding.Stride, Padding = sliding.Padding,
    };

    Bf16Map NewMap(Shape shape) => new(New(Shape.Of(checked((int)(GpuLayout.Floats(shape) / 2)))), shape);

    /// A map, or what it is deferred as, in bf16.
    Bf16Map Round(Tensor x)
    {
        var to = NewMap(x.Shape);
        var rows = new GpuRows(x.Shape);
        Pass(new RoundCell(Load(x), to.Values, rows), rows);
        return to;
    }

    void Widen(Bf16Map from, Tensor to) => Pass(new WidenPoint(from.Values, Of(to)), GpuLayout.Floats(to.Shape));

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

readonly struct RoundCell(MapLoad x, ArrayView<ushort> y, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        long i = rows.At(row, column);
        y[i] = column < rows.Columns ? GpuMath.ToBf16(x.At(i, column)) : (ushort)0;
    }
}

readonly struct WidenPoint(ArrayView<ushort> x, View y) : IPoint
{
    public void At(long i) => y[i] = GpuMath.FromBf16(x[i]);
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
