using System.Globalization;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>Learning rate and margins as functions of the step alone, so that a resumed training goes on exactly.</summary>
public sealed class Schedule
{
    readonly TrainSettings train;
    readonly HeadSettings head;
    readonly double[] milestones;

    public Schedule(TrainSettings train, HeadSettings head, int steps)
    {
        (this.train, this.head, Steps) = (train, head, steps);
        if (train.Schedule is not ("cosine" or "step")) throw new InputException($"Train.Schedule: '{train.Schedule}' is neither cosine nor step");
        if (head.Gradient is not ("exact" or "straight_through")) throw new InputException($"Head.Gradient: '{head.Gradient}' is neither exact nor straight_through");
        milestones = train.Milestones.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).Select(Share).ToArray();
    }

    public int Steps { get; }

    /// <summary>Linear warm-up to Train.Rate, then half a cosine to 0 or a tenth at each milestone (shares of all steps).</summary>
    public double Rate(int step)
    {
        double warm = Math.Ceiling(train.WarmUp * Steps);
        if (step < warm) return train.Rate * (step + 1) / warm;
        return train.Schedule == "cosine"
            ? train.Rate * 0.5 * (1 + Math.Cos(Math.PI * (step - warm) / (Steps - warm)))
            : train.Rate * Math.Pow(0.1, milestones.Count(m => step >= m * Steps));
    }

    /// <summary>The scales as they are; the margins grow linearly from none over Head.Ramp of the steps.</summary>
    public Margin Margin(int step)
    {
        double ramp = head.Ramp * Steps, share = step < ramp ? step / ramp : 1;
        return new((float)head.TrueScale, (float)head.FalseScale,
            (float)(1 + (head.M1 - 1) * share), (float)(head.M2 * share), (float)(head.M3 * share), head.Gradient == "straight_through");
    }

    /// <summary>
    /// What the margin of a step takes from the target logit of a face that is at a right angle to its centre:
    /// the rise of the loss of a network that knows nothing.
    /// </summary>
    public double Penalty(int step)
    {
        var m = Margin(step);
        return m.TrueScale * (m.M3 - Math.Cos(Math.Min(Math.PI, m.M1 * Math.PI / 2 + m.M2)));
    }

    static double Share(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double share) && share is >= 0 and <= 1
            ? share : throw new InputException($"Train.Milestones: '{text}' is not a share from 0 to 1; expected for example 0.4,0.6,0.8");
}
