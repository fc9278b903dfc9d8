using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>A training that cannot go on: what was not finite, or a loss that does not fall.</summary>
public sealed class DivergedException(int step, string what) : Exception($"diverged at step {step}: {what}")
{
    public int Step => step;
}

/// <summary>Backbone, head and optimiser on one device: everything a step reads and writes.</summary>
sealed class Learner : IDisposable
{
    // A centre's length only scales its own rate (the head normalises): this start is the field's usual one.
    const double CentreDeviation = 0.01;

    readonly Settings settings;
    readonly Weights head;
    readonly Optimizer optimizer;
    readonly StepExchange exchange;
    readonly Recording recording = new();
    (double Rate, int Step) sent, taken;
    Cost work;

    public Learner(Device device, Settings settings, int identities)
    {
        this.settings = settings;
        Backbone = Backbone.Create(device, settings.Net, settings.Data.Size, Seeds.Weights(settings));
        head = new(device, Seeds.Weights(settings));
        Centres = head.Normal("head.centres", Shape.Of(identities, settings.Net.Embedding), CentreDeviation);
        optimizer = new(settings.Train, Backbone.Parameters.Append(Centres));
        exchange = device.NewExchange(Shape.Map(settings.Train.Batch, 3, settings.Data.Size, settings.Data.Size), Batches.ByteValues);
    }

    public Backbone Backbone { get; }
    /// <summary>[identities, embedding], not normalised.</summary>
    public Tensor Centres { get; }
    /// <summary>Told what each part of a step takes; null: nothing is measured.</summary>
    public Profiler? Profiler { get; set; }
    /// <summary>Everything that a step changes, in a fixed order.</summary>
    public IEnumerable<Tensor> State => [.. Backbone.Parameters, .. Backbone.Buffers, Centres, .. optimizer.State];

    /// <summary>Where the images and labels of the step that is sent next are written.</summary>
    public StepExchange Exchange => exchange;

    /// <summary>Sends what was written there, for a step at that rate and margin.</summary>
    public void Send(int step, double rate, Margin margin, bool bytes = false)
    {
        sent = (rate, step);
        exchange.Send(optimizer.Numbers(rate, step, margin), bytes);
    }

    /// <summary>Starts the step that was sent; on a device beside the host it then runs by itself.</summary>
    public void Start()
    {
        taken = sent;
        // Images and labels are written where the step reads them.
        using (Profiler?.Open("input", Cost.OfPass(0, exchange.Images, exchange.Images))) exchange.Take();
        // What a profiler is to see must be told.
        if (Profiler is null) exchange.Images.Device.Repeat(recording, exchange, Run);
        else Run();
    }

    /// <summary>Waits for the step's end; returns the mean loss before it, and the step's work.</summary>
    public (double Loss, Cost Work) Finish()
    {
        var (loss, squares) = exchange.Receive();
        if (!double.IsFinite(loss)) throw new DivergedException(taken.Step, $"{FirstNotFinite() ?? "the loss"} is not finite");
        if (optimizer.NotFinite(squares) is { } name) throw new DivergedException(taken.Step, $"the gradient of {name} is not finite");
        return (loss, work);
    }

    /// <summary>One step on faces [batch, 3, side, side], from sending to its end.</summary>
    public (double Loss, Cost Work) Step(ReadOnlySpan<float> faces, int[] labels, int step, double rate, Margin margin)
    {
        faces.CopyTo(exchange.Next.Span);
        labels.CopyTo(exchange.NextLabels, 0);
        Send(step, rate, margin);
        Start();
        return Finish();
    }

    /// All of a step that happens on the device, without a look at what comes out.
    void Run()
    {
        // Of a recording that came to nothing.
        optimizer.DropGradients();
        using var tape = new Tape(Backbone.Device) { Profiler = Profiler };
        var loss = Forward(tape);
        exchange.Tell(loss);
        tape.Backward(loss);
        work = tape.Forward + tape.BackwardCost;
        using (Profiler?.Open(settings.Train.Optimizer, optimizer.Cost)) optimizer.Update(exchange, taken.Rate, taken.Step);
    }

    Tensor Forward(Tape tape)
    {
        using var section = Profiler?.Open("forward");
        var embeddings = Backbone.Forward(tape.Input(exchange.Images), new(Training: true, Seeds.Dropout(settings), exchange.Numbers.Step, exchange));
        PartialFc? partial = settings.Head.Sample < 1 ? new(settings.Head.Sample, Seeds.Sample(settings), exchange.Numbers.Step) : null;
        return embeddings.MarginSoftmax(Centres, exchange.Labels, exchange.Numbers.Margin, settings.Head.Recompute, optimizer.DuringBackward(Centres, taken.Rate), exchange, partial);
    }

    /// The op that a loss which is not finite comes from, by the forward pass once more: no parameter has moved since.
    string? FirstNotFinite()
    {
        using var tape = new Tape(Backbone.Device);
        Forward(tape);
        return tape.FirstNotFinite();
    }

    public void Dispose()
    {
        recording.Dispose();
        exchange.Dispose();
        Backbone.Dispose();
        head.Dispose();
        optimizer.Dispose();
    }
}

/// <summary>Seeds for weights, dropout and Partial FC made of the run's one seed, so that they share no draws with the data.</summary>
static class Seeds
{
    public static ulong Weights(Settings settings) => Of(settings, 1);
    public static ulong Dropout(Settings settings) => Of(settings, 2);
    public static ulong Sample(Settings settings) => Of(settings, 3);

    static ulong Of(Settings settings, ulong use) => Noise.Bits((ulong)settings.Seed, use, 0);
}
