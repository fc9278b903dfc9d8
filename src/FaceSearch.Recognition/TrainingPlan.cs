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
        var work = StepsOn(meter, 1, settings, identities);
        double stepWork = (work.Flops + (double)OperationsPerByte * work.Bytes) / 1e12;
        double steps = Math.Floor(settings.Train.Budget / stepWork);
        if (steps > int.MaxValue) throw new InputException($"Train.Budget: {settings.Train.Budget} pays for {steps:E1} steps, expected at most {int.MaxValue}; lower it");
        var cost = Backbone.Measure(settings.Net, settings.Data.Size);
        return new(cost.Macs / 1e6, cost.Parameters / 1e6, meter.PeakBytes / 1048576.0, stepWork, Math.Max(1, (int)steps));
    }

    /// <summary>
    /// What a training takes of a device, by steps on its own meter: a GPU has other layouts than the CPU, bf16 maps, and workspaces of its
    /// own. Most bytes of tensors at a time, and what the device takes from its machine for them.
    /// </summary>
    public static (long Tensors, long Held) MemoryOn(Device device, Settings settings, int identities)
    {
        using var meter = device.NewMeter();
        // What the first leaves for the others is there in the second.
        StepsOn(meter, 2, settings, identities);
        return (meter.PeakBytes, Math.Max(meter.PeakBytes, meter.HeldBytes));
    }

    /// The work of one.
    static Cost StepsOn(Device meter, int count, Settings settings, int identities)
    {
        using var learner = new Learner(meter, settings, identities);
        Cost work = default;
        for (int step = 0; step < count; step++)
        {
            learner.Send(step, 0, new Schedule(settings.Train, settings.Head, 1).Margin(0));
            learner.Start();
            work = learner.Finish().Work;
        }
        return work;
    }
}
