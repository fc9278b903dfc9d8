using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>What a training will cost, known before it: by one step on the <see cref="Meter"/>.</summary>
/// <param name="MMacs">Multiply-accumulates of one forward pass of one image through the backbone, in millions.</param>
/// <param name="MParams">Parameters of the backbone, in millions.</param>
/// <param name="MemoryMiB">Most memory in use during a step: parameters, optimiser, activations, gradients.</param>
/// <param name="StepWork">Forward and backward of backbone and head in units of Train.Budget; the optimiser is left out.</param>
/// <param name="Steps">Steps that the budget pays for, at least one.</param>
public sealed record TrainingPlan(double MMacs, double MParams, double MemoryMiB, double StepWork, int Steps)
{
    // Floating-point operations a core does while it moves one byte from memory.
    const int OperationsPerByte = 4;

    public static TrainingPlan Of(Settings settings, int identities)
    {
        using var meter = new Meter();
        using var learner = new Learner(meter, settings, identities);
        var (batch, side) = (settings.Train.Batch, settings.Data.Size);
        var margin = new Schedule(settings.Train, settings.Head, 1).Margin(0);
        var (_, work) = learner.Step(new float[3L * batch * side * side], new int[batch], 0, 0, margin);
        double stepWork = (work.Flops + (double)OperationsPerByte * work.Bytes) / 1e12;
        double steps = Math.Floor(settings.Train.Budget / stepWork);
        if (steps > int.MaxValue) throw new InputException($"Train.Budget: {settings.Train.Budget} pays for {steps:E1} steps, expected at most {int.MaxValue}; lower it");
        var cost = Backbone.Measure(settings.Net, side);
        return new(cost.Macs / 1e6, cost.Parameters / 1e6, meter.PeakBytes / 1048576.0, stepWork, Math.Max(1, (int)steps));
    }
}
