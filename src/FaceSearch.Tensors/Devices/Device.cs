namespace FaceSearch.Tensors;

/// <summary>A piece of a device's memory. Bytes is what the pool really holds for it.</summary>
abstract class Memory
{
    public abstract long Bytes { get; }
    /// <summary>Tensors that live here: returned to the pool by the last of them.</summary>
    public int Owners { get; set; }
}

/// <summary>
/// Where tensors live and ops run. Each op declares its kernels here in its own file (Ops/Name.cs) and each device
/// implements them in Ops/Name.Device.cs; the compiler lists what is missing. A device is used by one thread at a time.
/// </summary>
public abstract partial class Device : IDisposable
{
    // Of the last photographs: those of a data set are as many each time.
    float[] expanded = [];

    public abstract string Name { get; }
    /// <summary>Bytes in use now, and the most there were since <see cref="ResetPeak"/>.</summary>
    public long LiveBytes { get; private set; }
    public long PeakBytes { get; private set; }

    public void ResetPeak() => PeakBytes = LiveBytes;
    /// <summary>Bytes that the device has taken from its machine, where it takes more at once than tensors need.</summary>
    public virtual long HeldBytes => LiveBytes;

    /// <summary>Bytes of its own memory, and those free now; null where that is the machine's.</summary>
    public virtual (long All, long Free)? MemoryBytes => null;

    /// <summary>
    /// A device that computes nothing and holds nothing, but rents what this one would for the same ops: its peak is what they will
    /// take. The caller disposes it.
    /// </summary>
    public virtual Device NewMeter() => new Meter();
    /// <summary>Whether it is such a device: values need not be made for it.</summary>
    public virtual bool IsMeter => false;

    /// <summary>A free-standing tensor, contents undefined.</summary>
    public Tensor New(Shape shape) => new(this, shape, null);

    /// <summary>What the host writes, and ops then read but never write: a map of few channels may stay as it is written.</summary>
    internal Tensor NewInput(Shape shape, Tape? tape = null) =>
        KeepsFlat(shape) ? new(New(Shape.Of(shape.Rows, shape.Cols)), shape, tape) : new(this, shape, tape);

    /// <summary>Whether this device's convolutions read a map of that shape faster so (<see cref="Tensor.Flat"/>).</summary>
    private protected virtual bool KeepsFlat(Shape shape) => false;

    /// <summary>A free-standing tensor with these logical row-major values.</summary>
    public Tensor From(Shape shape, ReadOnlySpan<float> values)
    {
        var tensor = New(shape);
        Write(tensor, values);
        return tensor;
    }

    /// <summary>A tensor that is trained (or frozen): named, zero until written.</summary>
    public Tensor Parameter(string name, Shape shape, bool frozen = false)
    {
        var tensor = new Tensor(this, shape, null) { Name = name, NeedsGradient = !frozen };
        Clear(tensor);
        return tensor;
    }

    private protected virtual void Clear(Tensor tensor) => Fill(tensor, 0);

    /// <summary>Every element gets the value.</summary>
    internal virtual void Fill(Tensor tensor, float value)
    {
        var values = new float[tensor.Shape.Count];
        values.AsSpan().Fill(value);
        Write(tensor, values);
    }

    /// <summary>Copies logical row-major values (NCHW for maps) in; the count must match.</summary>
    public abstract void Write(Tensor to, ReadOnlySpan<float> values);

    /// <summary>
    /// Photographs as they have their bytes, [image][row][column][3], into a map of three channels; values are what the 256 bytes stand for. A
    /// device beside the host gets a quarter of the data so.
    /// </summary>
    public virtual void Write(Tensor to, ReadOnlySpan<byte> photographs, float[] byteValues)
    {
        CheckPhotographs(to, photographs.Length);
        if (expanded.Length != photographs.Length) expanded = new float[photographs.Length];
        int floats = to.Shape.Cols;
        for (int n = 0; n < to.Shape.Images; n++) Expand(photographs.Slice(n * floats, floats), byteValues, expanded.AsSpan(n * floats, floats));
        Write(to, expanded);
    }

    /// A photograph's bytes [row][column][3] as planes of values.
    private protected static void Expand(ReadOnlySpan<byte> photograph, float[] byteValues, Span<float> planes)
    {
        int area = planes.Length / 3;
        Span<float> red = planes[..area], green = planes[area..(2 * area)], blue = planes[(2 * area)..];
        for (int i = 0; i < area; i++) (red[i], green[i], blue[i]) = (byteValues[photograph[3 * i]], byteValues[photograph[3 * i + 1]], byteValues[photograph[3 * i + 2]]);
    }

    /// <summary>Copies logical row-major values out; the count must match.</summary>
    public abstract void Read(Tensor from, Span<float> values);

    /// <summary>Copies some values in, from place `first` on, of a tensor that is no map: it may have more than an array holds (<see cref="Shape.Pieces"/>).</summary>
    public abstract void Write(Tensor to, long first, ReadOnlySpan<float> values);

    /// <summary>Copies some values out, likewise.</summary>
    public abstract void Read(Tensor from, long first, Span<float> values);

    /// <summary>Bytes that an element of such a tensor has in memory.</summary>
    internal virtual int ElementBytes(Shape shape) => 4;

    private protected abstract Memory Allocate(Shape shape);
    private protected abstract void Free(Memory memory);

    internal Memory Rent(Shape shape)
    {
        var memory = Allocate(shape);
        memory.Owners = 1;
        LiveBytes += memory.Bytes;
        PeakBytes = Math.Max(PeakBytes, LiveBytes);
        return memory;
    }

    internal void Return(Memory memory)
    {
        if (--memory.Owners > 0) return;
        LiveBytes -= memory.Bytes;
        Free(memory);
    }

    /// <summary>What tells when kernels ran; null where they run as they are called.</summary>
    internal virtual KernelClock? KernelClock => null;

    /// <summary>Waits until everything asked for so far is done, where ops run beside the calling thread.</summary>
    public virtual void Synchronize() { }

    private protected static void CheckCount(Tensor tensor, int count)
    {
        if (tensor.Shape.Count != count) throw new ShapeException($"{count} values do not fit the shape {tensor.Shape}");
    }

    private protected static void CheckPhotographs(Tensor to, int count)
    {
        if (!to.Shape.IsMap || to.Shape.Channels != 3) throw new ShapeException($"photographs have three channels, the shape is {to.Shape}");
        CheckCount(to, count);
    }

    private protected static void CheckRange(Tensor tensor, long first, int count)
    {
        if (tensor.Shape.IsMap || first < 0 || first + count > tensor.Shape.Count) throw new ShapeException($"{count} values from {first} on are no part of the shape {tensor.Shape}");
    }

    public virtual void Dispose() { }
}
