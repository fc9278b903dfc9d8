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

    public Learner(Device device, Settings settings, int identities)
    {
        this.settings = settings;
        Backbone = Backbone.Create(device, settings.Net, settings.Data.Size, Seeds.Weights(settings));
        head = new(device, Seeds.Weights(settings));
        Centres = head.Normal("head.centres", Shape.Of(identities, settings.Net.Embedding), CentreDeviation);
        optimizer = new(settings.Train, Backbone.Parameters.Append(Centres));
    }

    public Backbone Backbone { get; }
    /// <summary>[identities, embedding], not normalised.</summary>
    public Tensor Centres { get; }
    /// <summary>Told what each part of a step takes; null: nothing is measured.</summary>
    public Profiler? Profiler { get; set; }
    /// <summary>Everything that a step changes, in a fixed order.</summary>
    public IEnumerable<Tensor> State => [.. Backbone.Parameters, .. Backbone.Buffers, Centres, .. optimizer.State];

    /// <summary>One step on faces [images, 3, side, side]; returns their mean loss before it, and the step's work.</summary>
    public (double Loss, Cost Work) Step(ReadOnlySpan<float> faces, int[] labels, int step, double rate, Margin margin)
    {
        int side = Backbone.Side;
        using var tape = new Tape(Backbone.Device) { Profiler = Profiler };
        var x = tape.Input(Shape.Map(labels.Length, 3, side, side), faces);
        Tensor loss;
        using (Profiler?.Open("forward"))
        {
            var embeddings = Backbone.Forward(x, new(Training: true, Seeds.Dropout(settings), (ulong)step));
            loss = embeddings.MarginSoftmax(Centres, labels, margin, settings.Head.Recompute, optimizer.DuringBackward(Centres, rate));
        }
        double value = loss.Item();
        if (!double.IsFinite(value)) throw new DivergedException(step, $"{tape.FirstNotFinite() ?? "the loss"} is not finite");
        tape.Backward(loss);
        var work = tape.Forward + tape.BackwardCost;
        using (Profiler?.Open(settings.Train.Optimizer, optimizer.Cost)) optimizer.Update(rate, step);
        return (value, work);
    }

    public void Dispose()
    {
        Backbone.Dispose();
        head.Dispose();
        optimizer.Dispose();
    }
}

/// <summary>Seeds for weights and dropout made of the run's one seed, so that they share no draws with the data.</summary>
static class Seeds
{
    public static ulong Weights(Settings settings) => Of(settings, 1);
    public static ulong Dropout(Settings settings) => Of(settings, 2);

    static ulong Of(Settings settings, ulong use) => Noise.Bits((ulong)settings.Seed, use, 0);
}
