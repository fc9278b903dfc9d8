namespace FaceSearch.Tensors;

/// <summary>
/// What was computed, in order. <see cref="Backward"/> walks it in reverse and frees as it goes; disposing frees the rest.
/// A tape that does not record (inference) only owns memory and counts cost.
/// </summary>
public sealed class Tape(Device device, bool record = true) : IDisposable
{
    /// Operands are their shapes, kept only for a profiler.
    sealed record Node(string Op, Tensor Y, Cost Cost, Shape[]? Operands, Action<Tensor> Backward);

    readonly List<Node> nodes = [];
    readonly HashSet<Tensor> owned = new(ReferenceEqualityComparer.Instance);

    public Device Device => device;
    public bool Records { get; } = record && device.Frozen is not null ? throw new InvalidOperationException("a tape that records is for training, but the device's parameters are frozen") : record;
    /// <summary>Work of the forward pass, and of the backward pass if it is recorded.</summary>
    public Cost Forward { get; private set; }
    public Cost BackwardCost { get; private set; }
    /// <summary>Told what each op takes; null: nothing is measured. Ops recorded before it is set stay untold.</summary>
    public Profiler? Profiler { get; set; }

    /// <summary>A tensor that lives as long as the tape, contents undefined.</summary>
    public Tensor New(Shape shape)
    {
        var tensor = new Tensor(device, shape, this);
        owned.Add(tensor);
        return tensor;
    }

    /// <summary>An input of the computation that is on the device already and outlives the tape; it needs no gradient.</summary>
    public Tensor Input(Tensor lasting)
    {
        var tensor = lasting.Share(this);
        owned.Add(tensor);
        return tensor;
    }

    Tensor NewInput(Shape shape)
    {
        var tensor = device.NewInput(shape, this);
        owned.Add(tensor);
        return tensor;
    }

    /// <summary>Likewise, of photographs by their bytes (<see cref="Device.Write(Tensor, ReadOnlySpan{byte}, float[])"/>).</summary>
    public Tensor Input(Shape shape, ReadOnlySpan<byte> photographs, float[] byteValues)
    {
        var tensor = NewInput(shape);
        device.Write(tensor, photographs, byteValues);
        return tensor;
    }

    /// <summary>A tensor that ops which can will compute as they load it, and others when they need it.</summary>
    internal Tensor Defer(Normalised deferred)
    {
        var tensor = new Tensor(device, deferred.Source.Shape, this, deferred);
        owned.Add(tensor);
        return tensor;
    }

    /// <summary>An input of the computation, written from logical row-major values; it needs no gradient.</summary>
    public Tensor Input(Shape shape, ReadOnlySpan<float> values)
    {
        Profiler?.Begin();
        var tensor = NewInput(shape);
        device.Write(tensor, values);
        Profiler?.End("input", Direction.None, tensor, [], Cost.OfPass(0, tensor, tensor));
        return tensor;
    }

    /// <summary>Counts work of the forward pass that no node of its own stands for, done until now since the last op.</summary>
    internal void Spend(string op, Tensor y, Cost forward)
    {
        Forward += forward;
        Profiler?.End(op, Direction.Forward, y, [], forward);
    }

    internal Tensor Record(string op, Tensor y, Cost forward, Cost backward, ReadOnlySpan<Tensor?> inputs, Action<Tensor> derive)
    {
        Forward += forward;
        var operands = Profiler?.EndForward(op, y, inputs, forward);
        bool needed = false;
        foreach (var x in inputs) needed |= x is { NeedsGradient: true };
        if (!Records || !needed) return y;
        BackwardCost += backward;
        y.NeedsGradient = true;
        nodes.Add(new(op, y, backward, operands, derive));
        return y;
    }

    /// <summary>Counts work of the backward pass that the op which made y does on behalf of y's reader.</summary>
    internal void SpendBackward(Tensor y, Cost more)
    {
        int node = nodes.FindLastIndex(n => n.Y == y);
        if (node < 0) return;
        nodes[node] = nodes[node] with { Cost = nodes[node].Cost + more };
        BackwardCost += more;
    }

    /// <summary>Gradients of <paramref name="loss"/> (one element) for every tensor that needs one. Frees results once used.</summary>
    public void Backward(Tensor loss)
    {
        if (loss.Shape.Count != 1) throw new ShapeException($"Backward: the loss must have one element but its shape is {loss.Shape}");
        Seed(loss, dy => device.Fill(dy, 1));
    }

    /// <summary>Backward from any result with its gradient given (logical row-major), for tests and partial graphs.</summary>
    public void Seed(Tensor y, ReadOnlySpan<float> gradient)
    {
        var values = gradient.ToArray();
        Seed(y, dy => device.Write(dy, values));
    }

    void Seed(Tensor y, Action<Tensor> write)
    {
        Profiler?.Begin();
        var dy = y.Like();
        write(dy);
        Profiler?.End("seed", Direction.None, y, [], Cost.OfPass(0, y, y));
        Seed(y, dy);
    }

    /// <summary>Backward from a gradient on the device, of y's shape, whose memory the tape takes over.</summary>
    /// <exception cref="ShapeException">The gradient has another shape, or is on another device.</exception>
    public void Seed(Tensor y, Tensor gradient)
    {
        Check.Shape(gradient, y.Shape);
        Check.SameDevice(y, gradient);
        using var section = Profiler?.Open("backward");
        y.Accumulate(gradient);
        for (int i = nodes.Count - 1; i >= 0; i--)
        {
            var node = nodes[i];
            Profiler?.Begin();
            var g = node.Y.Gradient;
            if (g is not null) node.Backward(g);
            node.Y.Dispose();
            if (g is not null && node.Operands is not null) Profiler?.End(node.Op, Direction.Backward, node.Y, node.Operands, node.Cost);
        }
        nodes.Clear();
    }

    /// <summary>The first recorded op whose result is not finite, or null: what the NaN guard names.</summary>
    public string? FirstNotFinite() => nodes.FirstOrDefault(n => !n.Y.ToArray().All(float.IsFinite)) is { } bad ? $"{bad.Op} {bad.Y.Shape}" : null;

    internal void Forget(Tensor tensor) => owned.Remove(tensor);

    public void Dispose()
    {
        nodes.Clear();
        foreach (var tensor in owned.ToArray()) tensor.Dispose();
    }
}

/// <summary>Gradient-recording helpers for ops.</summary>
static class TapeExtensions
{
    /// <summary>Puts the op that made <paramref name="y"/> on y's tape, if it has one.</summary>
    internal static Tensor From(this Tensor y, string op, Cost forward, Cost backward, ReadOnlySpan<Tensor?> inputs, Action<Tensor> derive) =>
        y.Tape is null ? y : y.Tape.Record(op, y, forward, backward, inputs, derive);
}
