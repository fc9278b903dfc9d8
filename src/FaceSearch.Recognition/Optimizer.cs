using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>
/// Clips the whole gradient to a norm and applies SGD or AdamW. Every parameter decays alike, slopes and scales of batch
/// norms included, as in the reference recipes of the field.
/// </summary>
sealed class Optimizer : IDisposable
{
    const float Beta1 = 0.9f, Beta2 = 0.999f, Epsilon = 1e-8f;

    readonly TrainSettings settings;
    readonly Tensor[] parameters;
    readonly Tensor[][] state;
    // What the last update had gradients for.
    Tensor[] moved = [];

    public Optimizer(TrainSettings settings, IEnumerable<Tensor> parameters)
    {
        if (settings.Optimizer is not ("sgd" or "adamw")) throw new InputException($"Train.Optimizer: '{settings.Optimizer}' is neither sgd nor adamw");
        (this.settings, this.parameters) = (settings, [.. parameters.Where(p => p.NeedsGradient)]);
        string[] moments = settings.Optimizer == "sgd" ? ["velocity"] : ["first", "second"];
        state = [.. this.parameters.Select(p => moments.Select(m => p.Device.Parameter($"{p.Name}.{m}", p.Shape, frozen: true)).ToArray())];
    }

    /// <summary>Velocities or moments, to be saved with the parameters.</summary>
    public IEnumerable<Tensor> State => state.SelectMany(s => s);

    /// <summary>
    /// Work of an update of the parameters that have a gradient now, without clipping: the gradient read for its norm, then
    /// everything read and parameter and state written, of the rows that the gradient is of.
    /// </summary>
    public Cost Cost => parameters.Zip(state).Where(p => p.First.Gradient is not null)
        .Aggregate(default(Cost), (sum, p) => sum + CostOf(p.First.Gradient!, p.Second.Length));

    static Cost CostOf(Tensor g, int states) => Cost.OfPass(2, g) + (states == 1 ? Cost.OfPass(8, g, g, g, g, g) : Cost.OfPass(14, g, g, g, g, g, g, g));

    /// <summary>
    /// How the head may move its centres in its own backward pass, null where it may not: AdamW does not work there, and
    /// clipping needs every gradient before the first move.
    /// </summary>
    public CentreUpdate? DuringBackward(Tensor centres, double rate) => settings.Optimizer == "sgd" && settings.Clip == 0
        ? new(state[Array.IndexOf(parameters, centres)][0], (float)rate, (float)settings.Momentum, settings.Nesterov, (float)settings.WeightDecay)
        : null;

    /// <summary>What a step needs that is not in the last one. `step` counts from 0.</summary>
    public StepNumbers Numbers(double rate, int step, Margin margin)
    {
        if (settings.Optimizer == "sgd") return new((float)rate, margin, (ulong)step);
        var adam = Device.AdamWFactors((float)rate, Beta1, Beta2, (float)settings.WeightDecay, step + 1);
        return new((float)adam.Step, margin, (ulong)step, (float)adam.Keep, (float)adam.Root);
    }

    /// <summary>
    /// Moves every parameter that has a gradient against it and drops the gradients; if one of them is not finite, none
    /// moves. Rate and step are those of the exchange's numbers.
    /// </summary>
    public void Update(StepExchange exchange, double rate, int step)
    {
        moved = [.. parameters.Where(p => p.Gradient is not null)];
        bool goes = exchange.Clip([.. moved.Select(p => p.Gradient!)], settings.Clip);
        for (int i = 0; i < parameters.Length && goes; i++)
        {
            if (parameters[i].Gradient is not { } g) continue;
            var (p, s) = (parameters[i], state[i]);
            if (s.Length == 1) p.Device.Sgd(p, g, s[0], (float)rate, (float)settings.Momentum, settings.Nesterov, (float)settings.WeightDecay, exchange);
            else p.Device.AdamW(p, g, s[0], s[1], (float)rate, Beta1, Beta2, Epsilon, (float)settings.WeightDecay, step + 1, exchange);
        }
        DropGradients();
    }

    public void DropGradients()
    {
        foreach (var parameter in parameters) parameter.DropGradient();
    }

    /// <summary>The first parameter whose gradient in the last update was not finite, by the squares of all; null for none.</summary>
    public string? NotFinite(double[] squares) =>
        Array.FindIndex(squares, s => !double.IsFinite(s)) is >= 0 and var broken ? $"{moved[broken].Name} {moved[broken].Shape}" : null;

    public void Dispose()
    {
        foreach (var tensor in State) tensor.Dispose();
    }
}
