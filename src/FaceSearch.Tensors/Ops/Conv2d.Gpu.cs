using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Convolutions as matrix products whose operands are gathered as they are fetched: pixels × (taps · channels). The gradient by
/// the input is the same product with the steps of the kernel reversed, that by the weights one over pixels.
/// A depthwise convolution has nothing to share between channels and is summed directly, a thread a value.
/// </summary>
public sealed partial class Gpu
{
    internal override void Conv2d(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments)
    {
        if (ConvolvesBf16(weight, sliding))
        {
            Conv2dBf16(x, weight, y, sliding, moments);
            return;
        }
        var window = Window.Forward(weight.Shape, x.Shape, y.Shape, sliding);
        if (IsDepthwise(weight, sliding)) Pass(new DepthwiseCell(Load(x), Of(weight), Map(y), window, new(y.Shape)), new GpuRows(y.Shape));
        else Correlate(Load(x), weight, y, window, sliding, transposed: false);
        if (moments is not null) WriteMoments(y, moments);
    }

    internal override void Conv2dData(Tensor dy, Tensor weight, Tensor dx, Sliding sliding)
    {
        if (ConvolvesBf16(weight, sliding))
        {
            Conv2dDataBf16(dy, weight, dx, sliding);
            return;
        }
        var window = Window.Backward(weight.Shape, dy.Shape, dx.Shape, sliding);
        if (IsDepthwise(weight, sliding)) Pass(new DepthwiseCell(Load(dy), Of(weight), Map(dx), window, new(dx.Shape)), new GpuRows(dx.Shape));
        else Correlate(Load(dy), weight, dx, window, sliding, transposed: true);
    }

    internal override void Conv2dWeight(Tensor x, Tensor dy, Tensor dweight, Sliding sliding)
    {
        if (ConvolvesBf16(dweight, sliding))
        {
            Conv2dWeightBf16(x, dy, dweight, sliding);
            return;
        }
        var window = Window.Forward(dweight.Shape, x.Shape, dy.Shape, sliding);
        var rows = new GpuRows(dy.Shape);
        int taps = window.Taps, inputs = dweight.Shape[1], outputs = dweight.Shape[0] / sliding.Groups;
        if (IsDepthwise(dweight, sliding))
        {
            SumColumns(new DepthwiseWeight(Load(x), Map(dy), Of(dweight), window, rows), rows.Rows, rows.Columns, taps);
            return;
        }
        Multiply(new ChannelOperand(Map(dy), rows.Pitch, outputs), new TapOperand(Load(x), window, inputs), new WeightResult(Of(dweight), new(inputs), outputs, taps),
            outputs, taps * inputs, rows.Rows, sliding.Groups);
    }

    static bool IsDepthwise(Tensor weight, Sliding sliding) => weight.Shape[1] == 1 && weight.Shape[0] == sliding.Groups;

    void Correlate(MapLoad from, Tensor weight, Tensor to, Window window, Sliding sliding, bool transposed)
    {
        int first = weight.Shape[1], second = weight.Shape[0] / sliding.Groups, groups = sliding.Groups;
        var (inputs, outputs) = transposed ? (second, first) : (first, second);
        using var packed = New(weight.Shape);
        Pass(new PackPoint(Of(weight), Of(packed), first, second, window.Taps, transposed ? 1 : 0), weight.Shape.Count);
        var rows = new GpuRows(to.Shape);
        // The last group writes the padding lanes as well; there the packed weights have no column, so they get zeros.
        int columns = outputs + rows.Pitch - rows.Columns;
        Multiply(new PixelOperand(from, window, rows.Rows, inputs), new PackedOperand(Of(packed), outputs, window.Taps * inputs), new MapResult(Map(to), rows.Pitch, outputs, groups),
            rows.Rows, columns, window.Taps * inputs, groups);
    }
}

/// <summary>
/// Where the kernel of an output pixel reads: (pixel·Step + Origin + tap·Direction) / Spread, if that is whole and on the map.
/// </summary>
readonly struct Window
{
    readonly Divisor height, width, kernelWidth, spread;
    readonly int fromHeight, fromWidth, fromPitch, step, origin, direction;
    readonly long taps;

    Window(Shape weight, Shape from, Shape to, int step, int origin, int direction, int spread)
    {
        (height, width, kernelWidth, this.spread) = (new(to.Height), new(to.Width), new(weight[3]), new(spread));
        (fromHeight, fromWidth, fromPitch) = (from.Height, from.Width, GpuLayout.Pitch(from.Channels));
        (this.step, this.origin, this.direction, taps) = (step, origin, direction, weight[2] * weight[3]);
    }

    public int Taps => (int)taps;

    public static Window Forward(Shape weight, Shape x, Shape y, Sliding s) => new(weight, x, y, s.Stride, -s.Padding, 1, 1);
    public static Window Backward(Shape weight, Shape dy, Shape dx, Sliding s) => new(weight, dy, dx, 1, s.Padding, -1, s.Stride);

    /// Of an output pixel: the first pixel of its image in the map that is read, and where its window starts.
    public Line LineOf(int pixel)
    {
        int column = width.Remainder(pixel, out int line), row = height.Remainder(line, out int image);
        return new() { Offset = (long)image * fromHeight * fromWidth, Row = row * step + origin, Column = column * step + origin };
    }

    /// Where tap number `tap` of a window reads, without the channel; −1 beside the map.
    public long Offset(Line line, int tap)
    {
        int tapColumn = kernelWidth.Remainder(tap, out int tapRow);
        int row = line.Row + direction * tapRow, column = line.Column + direction * tapColumn;
        if (row < 0 || column < 0) return -1;
        if (spread.Value != 1 && (spread.Remainder(row, out row) != 0 || spread.Remainder(column, out column) != 0)) return -1;
        return row < fromHeight && column < fromWidth ? (line.Offset + (long)row * fromWidth + column) * fromPitch : -1;
    }
}

/// <summary>The weights [outputs][inputs][taps] of each group as rows of products: [group][tap][summed][kept], of which `kept` are the product's columns.</summary>
readonly struct PackPoint(View weight, View packed, int inputs, int outputs, int taps, int transposed) : IPoint
{
    public void At(long i)
    {
        int tap = (int)(i % taps), input = (int)(i / taps % inputs);
        long output = i / taps / inputs, group = output / outputs;
        int own = (int)(output - group * outputs);
        long at = transposed != 0 ? ((group * taps + tap) * outputs + own) * inputs + input : ((group * taps + tap) * inputs + input) * outputs + own;
        packed[at] = weight[i];
    }
}

/// <summary>Left side of a convolution: line = output pixel, term = tap and channel.</summary>
readonly struct PixelOperand(MapLoad x, Window window, int pixels, int channels) : IOperand
{
    readonly Divisor perTap = new(channels);

    public int AlongDepth => 1;

    public Line LineOf(int line, int part)
    {
        if (line >= pixels) return new() { Offset = -1 };
        var found = window.LineOf(line);
        // The channels of a part follow those of the one before.
        found.Part = part * channels;
        return found;
    }

    public float At(Line line, int k)
    {
        if (line.Offset < 0) return 0;
        int channel = perTap.Remainder(k, out int tap) + line.Part;
        long at = window.Offset(line, tap);
        return at < 0 ? 0 : x.At(at + channel, channel);
    }
}

/// <summary>Right side of a convolution: line = output channel, term = tap and channel, [part][term][line] in memory.</summary>
readonly struct PackedOperand(View packed, int outputs, int depth) : IOperand
{
    public int AlongDepth => 0;
    public Line LineOf(int line, int part) => new() { Offset = line < outputs ? (long)part * depth * outputs + line : -1 };
    public float At(Line line, int k) => line.Offset < 0 ? 0 : packed[line.Offset + (long)k * outputs];
}

/// <summary>Channels of a part of a map.</summary>
readonly struct MapResult(MapView y, long pitch, int outputs, int groups) : IResult
{
    public void Put(int row, int column, int part, float value)
    {
        if (column < outputs || part == groups - 1) y[row * pitch + part * outputs + column] = value;
    }
}

/// <summary>Left side of a weight gradient: line = output channel, term = pixel.</summary>
readonly struct ChannelOperand(MapView dy, int pitch, int outputs) : IOperand
{
    public int AlongDepth => 0;
    public Line LineOf(int line, int part) => new() { Offset = line < outputs ? (long)part * outputs + line : -1 };
    public float At(Line line, int k) => line.Offset < 0 ? 0 : dy[line.Offset + (long)k * pitch];
}

/// <summary>Right side of a weight gradient: line = tap and channel, term = output pixel.</summary>
readonly struct TapOperand(MapLoad x, Window window, int channels) : IOperand
{
    readonly Divisor perTap = new(channels);

    public int AlongDepth => 0;

    public Line LineOf(int line, int part)
    {
        int channel = perTap.Remainder(line, out int tap);
        return new() { Offset = tap < window.Taps ? 0 : -1, Row = tap, Part = part * perTap.Value + channel };
    }

    public float At(Line line, int k)
    {
        if (line.Offset < 0) return 0;
        long at = window.Offset(window.LineOf(k), line.Row);
        return at < 0 ? 0 : x.At(at + line.Part, line.Part);
    }
}

/// <summary>[outputs][inputs][taps] from rows of outputs and columns of taps and inputs.</summary>
readonly struct WeightResult(View dweight, Divisor inputs, int outputs, int taps) : IResult
{
    public void Put(int row, int column, int part, float value)
    {
        int input = inputs.Remainder(column, out int tap);
        dweight[(((long)part * outputs + row) * inputs.Value + input) * taps + tap] = value;
    }
}

/// <summary>One value of a depthwise convolution, or of its gradient by the input.</summary>
readonly struct DepthwiseCell(MapLoad x, View weight, MapView y, Window window, GpuRows rows) : ICell
{
    public void At(int row, int column)
    {
        float sum = 0;
        if (column < rows.Columns)
        {
            var line = window.LineOf(row);
            for (int tap = 0; tap < window.Taps; tap++)
            {
                long at = window.Offset(line, tap);
                if (at >= 0) sum = GpuMath.MultiplyAdd(x.At(at + column, column), weight[(long)column * window.Taps + tap], sum);
            }
        }
        y[rows.At(row, column)] = sum;
    }
}

/// <summary>The weight gradient of a depthwise convolution: parts are taps.</summary>
readonly struct DepthwiseWeight(MapLoad x, MapView dy, View dweight, Window window, GpuRows rows) : IColumnSums
{
    public Sums At(int row, int column, int part)
    {
        long at = window.Offset(window.LineOf(row), part);
        return new(at < 0 ? 0 : x.At(at + column, column) * dy[rows.At(row, column)], 0, 0);
    }

    public void Finish(int column, int part, Sums total) => dweight[(long)column * window.Taps + part] = total.A;
}
