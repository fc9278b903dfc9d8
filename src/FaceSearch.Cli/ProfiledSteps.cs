using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>Something whose steps are alike: each is done in a section <see cref="Profile.Step"/> of the profiler.</summary>
interface IProfiled : IDisposable
{
    /// <summary>Images (or rows) in a step.</summary>
    int Images { get; }
    string Title { get; }
    /// <summary>Most bytes of tensors at a time, by the plan.</summary>
    long PlannedBytes { get; }
    void Step(Profiler profiler);
}

/// <summary>One op, forward and backward. Its input and the gradient of its result are written outside of the step.</summary>
sealed class ProfiledStep : IProfiled
{
    readonly Device device;
    readonly bool records;
    readonly OpWeights weights, inputs;
    readonly Tensor x;
    readonly Func<Tensor, Tensor> apply;
    readonly float[] values, zeros;
    readonly Func<long> plan;
    // The gradient of the result, once a first step has told the result's shape.
    float[] seed = [];
    Shape? result;

    public ProfiledStep(Device device, ProfiledOp op, OpSize size, string gradients)
    {
        this.device = device;
        records = gradients != "none";
        weights = new(device, frozen: gradients is "input" or "none");
        inputs = new(device, frozen: gradients is "weights" or "none");
        x = inputs.New(size.X);
        (values, zeros) = (OpWeights.Values(size.X), new float[size.X.Count]);
        apply = op.Apply(weights, size);
        plan = () => Planned(device, op, size, gradients);
        Images = size.X.Rows;
        Title = $"{op.Name} {OpText.Of(size.X)}{(size.Outputs > 0 ? $"→{size.Outputs}" : "")}";
    }

    public int Images { get; }
    public string Title { get; }
    public long PlannedBytes => plan();

    static long Planned(Device device, ProfiledOp op, OpSize size, string gradients)
    {
        using var meter = device.NewMeter();
        using var step = new ProfiledStep(meter, op, size, gradients);
        // The first step also finds out the result's shape, by an op of its own.
        step.Step(new(meter));
        meter.ResetPeak();
        step.Step(new(meter));
        return meter.PeakBytes;
    }

    public void Step(Profiler profiler)
    {
        using var tape = new Tape(device, records);
        // A parameter joins the tape through an op, as the output of a network does.
        var input = x.NeedsGradient ? tape.Input(x.Shape, zeros).Add(x) : tape.Input(x.Shape, values);
        var gradient = tape.Input(ResultOf(input), seed);
        tape.Profiler = profiler;
        using (profiler.Open(Profile.Step))
        {
            var y = apply(input);
            if (y.NeedsGradient) tape.Seed(y, gradient);
        }
        inputs.DropGradients();
        weights.DropGradients();
    }

    Shape ResultOf(Tensor input)
    {
        if (result is not null) return result;
        var y = apply(input);
        seed = y.Shape.Count == 1 ? [1] : OpWeights.Values(y.Shape);
        return result = y.Shape;
    }

    public void Dispose() { }
}

/// <summary>Steps of a training, batch and optimiser included.</summary>
sealed class ProfiledTraining(Training training, string title) : IProfiled
{
    // Different pictures of random pixels; what they show changes no time.
    const int Pictures = 64;

    public static ProfiledTraining Start(ProfileRun run, int identities, bool data)
    {
        Settings settings = run.Settings.Run;
        var faces = data ? Faces.Load(settings).Train : RandomPixels(settings.Data, identities);
        var plan = TrainingPlan.Of(settings, faces.Identities);
        // So long a training that none of its measured steps is judged for a loss that does not fall.
        settings = settings with { Train = settings.Train with { Budget = Math.Max(settings.Train.Budget, 10.0 * run.TotalSteps * plan.StepWork) } };
        return new(Training.Start(settings, faces, run.Device), FormattableString.Invariant(
            $"{settings.Net.Kind} {settings.Data.Size}×{settings.Data.Size}, batch {settings.Train.Batch}, {faces.Identities} identities, {plan.MMacs:0.#} MMACs, {plan.MParams:0.##} M parameters"));
    }

    public int Images => training.Settings.Train.Batch;
    public string Title => title;
    public long PlannedBytes => training.Memory?.Tensors ?? (long)(training.Plan.MemoryMiB * 1048576);

    public void Step(Profiler profiler)
    {
        training.Profiler = profiler;
        using (profiler.Open(Profile.Step)) training.Advance(training.Step + 1);
    }

    static FaceSet RandomPixels(DataSettings data, int identities)
    {
        int side = data.Size + 2 * data.Margin;
        var random = new Random(1);
        var pictures = Enumerable.Range(0, Math.Min(Pictures, identities)).Select(_ =>
        {
            var pixels = new byte[3 * side * side];
            random.NextBytes(pixels);
            return pixels;
        }).ToArray();
        var numbers = Enumerable.Range(0, identities).ToArray();
        var names = Array.ConvertAll(numbers, n => $"random {n}");
        return new() { Side = side, Images = Array.ConvertAll(numbers, n => pictures[n % pictures.Length]), Labels = numbers, IdentityNames = names, Sources = names };
    }

    public void Dispose() => training.Dispose();
}
