namespace FaceSearch.Tensors;

/// <summary>A shape, a device and a piece of its memory; no mathematics (that is in Ops/).</summary>
public sealed class Tensor : IDisposable
{
    Memory? memory;
    // What is freed when this tensor no longer reads it.
    Tensor? source;

    internal Tensor(Device device, Shape shape, Tape? tape, Normalised? deferred = null)
    {
        (Device, Shape, Tape, Deferred) = (device, shape, tape, deferred);
        if (deferred is null) memory = device.Rent(shape);
    }

    /// <summary>A map that is written and kept row by row (<see cref="Flat"/>).</summary>
    internal Tensor(Tensor flat, Shape map, Tape? tape) => (Device, Shape, Tape, Flat, source) = (flat.Device, map, tape, flat, flat);

    /// <summary>In memory that somebody else keeps.</summary>
    internal Tensor(Memory memory, Device device, Shape shape) => (Device, Shape, this.memory) = (device, shape, memory);

    Tensor(Tensor owner, Tape? tape)
    {
        (Device, Shape, Tape, Flat) = (owner.Device, owner.Shape, tape, owner.Flat);
        if (Flat is not null) return;
        memory = owner.Memory;
        memory.Owners++;
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
    /// <summary>How to have the values while they are not in memory.</summary>
    internal Normalised? Deferred { get; private set; }
    /// <summary>
    /// [images, channels·height·width] The values of a map of few channels that came from the host, in the order they came in: a fraction of
    /// its own layout. Dense convolutions read them so; every other op settles the map first.
    /// </summary>
    internal Tensor? Flat { get; private set; }
    /// <summary>[2, channels] mean and biased variance of each channel, where the op that made the map has them.</summary>
    internal Tensor? Moments { get; set; }
    /// <summary>
    /// [3, channels] Of the gradient of a map that a batch norm made, where the op that computed it has them: the sums of h, of
    /// h·(x − mean) and of what the slope gets (<see cref="Ops.BatchNorm"/>).
    /// </summary>
    internal Tensor? NormSums { get; set; }
    /// <summary>Of a map: whether the backward pass of the op that made it can take a gradient that is <see cref="Unfinished"/>.</summary>
    internal bool FinishesGradient { get; set; }
    /// <summary>Of the gradient of what a batch norm read: what is still to be done to its values, which are those of the gradient of the norm's result.</summary>
    internal UnfinishedNorm? Unfinished { get; set; }
    /// <summary>
    /// [n] Of a gradient that is of some rows of a parameter alone: which ones, integers in the places of floats. Optimisers leave the
    /// other rows, and what they keep of them, as they are.
    /// </summary>
    internal Tensor? OfRows { get; set; }

    internal Memory Memory => memory ?? throw NotInMemory();
    // Apart, so that the property is small enough to be inlined into kernels.
    Exception NotInMemory() => IsFreed
        ? new ObjectDisposedException($"tensor {Name}{Shape}")
        : new InvalidOperationException($"tensor {Name}{Shape} is not in memory yet: the op must settle it");
    internal bool IsFreed => memory is null && Deferred is null && Flat is null;
    /// <summary>Whether another tensor lives in the same memory: then nobody may write there.</summary>
    internal bool IsShared => Memory.Owners > 1;

    /// <summary>A new tensor of this shape (or another), contents undefined, owned by the same tape.</summary>
    internal Tensor Like(Shape? shape = null) => Tape is null ? Device.New(shape ?? Shape) : Tape.New(shape ?? Shape);

    /// <summary>A second owner of the same memory, which lives as long as either.</summary>
    internal Tensor Share(Tape? tape = null) => new(this, tape);

    /// <summary>This tensor, now in memory whatever it was before. Called by the thread that runs the op, before its tiles.</summary>
    internal Tensor Settled()
    {
        if (Flat is { } flat)
        {
            memory = Device.Rent(Shape);
            Flat = null;
            Device.Unflatten(flat, this);
            source?.Dispose();
        }
        if (Deferred is not { } deferred) return this;
        memory = Device.Rent(Shape);
        Deferred = null;
        Device.Normalise(deferred, this);
        Tape?.Spend("settled", this, Cost.OfPass(0, deferred.Source, this));
        source?.Dispose();
        return this;
    }

    /// <summary>The same, unless a norm is all that keeps it from memory.</summary>
    internal Tensor Unflattened() => Flat is null ? this : Settled();

    /// <summary>Frees x, from which this tensor was made, as soon as that can be: now, or with this one where it still reads x.</summary>
    public void Outlives(Tensor x)
    {
        if (Deferred?.Source == x) source = x;
        else x.Dispose();
    }

    /// <summary>The gradient so far, where an op may add to it in place; null where there is none, or it is not this tensor's alone.</summary>
    internal Tensor? GradientToAddTo => FinishGradient() is { IsShared: false, OfRows: null } ? Gradient : null;

    /// <summary>Adds <paramref name="gradient"/> to this tensor's gradient and takes its memory over.</summary>
    internal void Accumulate(Tensor gradient)
    {
        // A parameter's gradient outlives the tape and is changed in place: it shares with nobody.
        if (Tape is null && gradient.IsShared) gradient = Sum(gradient, null);
        if ((Gradient?.OfRows ?? gradient.OfRows) is not null && Gradient is not null) throw new InvalidOperationException($"tensor {Name}{Shape}: gradients of some rows cannot be added");
        FinishGradient();
        if (Gradient is null) Gradient = gradient;
        else if (!Gradient.IsShared) Add(Gradient, gradient);
        else if (!gradient.IsShared) Gradient = Add(gradient, Gradient);
        else Gradient = Sum(Gradient, gradient);
    }

    /// to += from, and frees from.
    Tensor Add(Tensor to, Tensor from)
    {
        to.DropNormSums();
        Device.Accumulate(to, from);
        from.Dispose();
        return to;
    }

    /// a + b (or a alone) in memory of its own; frees both.
    Tensor Sum(Tensor a, Tensor? b)
    {
        var sum = a.Like();
        if (b is null) Device.Copy(a, sum);
        else Device.Add(a, b, sum);
        a.Dispose();
        b?.Dispose();
        return sum;
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

    /// <summary>The gradient, once a batch norm has left nothing to be done.</summary>
    internal Tensor? FinishGradient()
    {
        if (Gradient?.Unfinished is not { } rest) return Gradient;
        var (from, to) = (Gradient, Gradient.IsShared ? Gradient.Like() : Gradient);
        Device.FinishNorm(rest, from, to);
        from.DropUnfinished();
        if (to != from) from.Dispose();
        return Gradient = to;
    }

    /// <summary>It is finished, or nobody will need it.</summary>
    internal void DropUnfinished()
    {
        Unfinished?.Dispose();
        Unfinished = null;
    }

    /// <summary>The values are about to change, or the sums have been used.</summary>
    internal void DropNormSums()
    {
        NormSums?.Dispose();
        NormSums = null;
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
        Device.Read(Settled(), values);
        return values;
    }

    /// <summary>The single element of a tensor of one element.</summary>
    public float Item() => Shape.Count == 1 ? ToArray()[0] : throw new ShapeException($"Item: the tensor must have one element but its shape is {Shape}");

    public void Dispose()
    {
        DropGradient();
        Moments?.Dispose();
        NormSums?.Dispose();
        DropUnfinished();
        OfRows?.Dispose();
        source?.Dispose();
        (Deferred, Flat) = (null, null);
        if (memory is not null) Device.Return(memory);
        memory = null;
        Tape?.Forget(this);
    }

    public override string ToString() => $"{Name}{Shape} on {Device.Name}";
}
