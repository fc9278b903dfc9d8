namespace FaceSearch.Tensors;

/// <summary>A shape, a device and a piece of its memory; no mathematics (that is in Ops/).</summary>
public sealed class Tensor : IDisposable
{
    Memory? memory;

    internal Tensor(Device device, Shape shape, Tape? tape)
    {
        (Device, Shape, Tape) = (device, shape, tape);
        memory = device.Rent(shape);
    }

    public Device Device { get; }
    public Shape Shape { get; }
    /// <summary>For error messages and checkpoints; empty for what an op computed.</summary>
    public string Name { get; init; } = "";
    /// <summary>False for inputs and frozen parameters: ops then skip the gradient.</summary>
    public bool NeedsGradient { get; internal set; }
    /// <summary>What the last <see cref="Tape.Backward"/> left here; null before, or when not needed.</summary>
    public Tensor? Gradient { get; private set; }
    /// <summary>The tape that owns this tensor; null for parameters and other free-standing tensors.</summary>
    public Tape? Tape { get; }

    internal Memory Memory => memory ?? throw new ObjectDisposedException($"tensor {Name}{Shape}");
    internal bool IsFreed => memory is null;

    /// <summary>A new tensor of this shape (or another), contents undefined, owned by the same tape.</summary>
    internal Tensor Like(Shape? shape = null) => Tape is null ? Device.New(shape ?? Shape) : Tape.New(shape ?? Shape);

    /// <summary>Adds <paramref name="gradient"/> to this tensor's gradient and takes its memory over.</summary>
    internal void Accumulate(Tensor gradient)
    {
        if (Gradient is null)
        {
            Gradient = gradient;
            return;
        }
        Device.Accumulate(Gradient, gradient);
        gradient.Dispose();
    }

    /// <summary>For an op that computes the gradients of several inputs in one pass: keeps what is needed, frees the rest.</summary>
    internal void AccumulateIfNeeded(Tensor gradient)
    {
        if (NeedsGradient) Accumulate(gradient);
        else gradient.Dispose();
    }

    /// <summary>Hands the gradient over to the caller, so that an op whose gradient is its result's need not copy it.</summary>
    internal Tensor TakeGradient()
    {
        var gradient = Gradient ?? throw new InvalidOperationException($"tensor {Name}{Shape} has no gradient");
        Gradient = null;
        return gradient;
    }

    /// <summary>Returns the gradient's memory to the pool.</summary>
    public void DropGradient()
    {
        Gradient?.Dispose();
        Gradient = null;
    }

    /// <summary>The logical elements in row-major order (NCHW for maps).</summary>
    public float[] ToArray()
    {
        var values = new float[Shape.Count];
        Device.Read(this, values);
        return values;
    }

    /// <summary>The single element of a tensor of one element.</summary>
    public float Item() => Shape.Count == 1 ? ToArray()[0] : throw new ShapeException($"Item: the tensor must have one element but its shape is {Shape}");

    public void Dispose()
    {
        DropGradient();
        if (memory is null) return;
        Device.Return(memory);
        memory = null;
        Tape?.Forget(this);
    }

    public override string ToString() => $"{Name}{Shape} on {Device.Name}";
}
