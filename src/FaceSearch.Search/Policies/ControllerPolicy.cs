namespace FaceSearch.Search;

/// <summary>
/// Learns an <see cref="LstmController"/> by policy gradient, one update for each batch of observed trials.
/// advantage A = (R − b) / σ with b, σ moving means of the reward and of its deviation (decay 0.95, bias-corrected),
/// clamped to ±3. With r = p(a) / p_behaviour(a), so that late results are corrected and not thrown away:
///   reinforce  weight of log p(a_t) = min(r, 2)·A, r over the whole design; one step over the newest batch
///   ppo        weight of log p(a_t) = r_t·A, none where r_t left 1 ± 0.2 in A's direction (Schulman et al. 2017);
///              several steps over the newest batches
/// plus an entropy bonus; Adam.
/// </summary>
public sealed class ControllerPolicy : IPolicy
{
    const double Decay = 0.95, LargestAdvantage = 3, LargestRatio = 2, Clip = 0.2;
    const int Steps = 6, Window = 4;

    readonly LstmController controller;
    readonly StudySettings study;
    readonly int seed;
    readonly bool clipped;
    readonly RewardFloor floor = new();
    readonly Adam adam;
    readonly List<(Trial Trial, double Reward)> recent = [];
    double mean, square, weight;
    int observed;

    public ControllerPolicy(Space space, StudySettings study, int seed, bool clipped)
    {
        (this.study, this.seed, this.clipped) = (study, seed, clipped);
        controller = new(space.Counts, seed);
        adam = new(controller.Parameters.Length, study.ControllerRate);
    }

    public Proposal Propose(int number, int attempt)
    {
        var draws = new Draws(seed, number, attempt);
        return ToProposal(controller.Forward((_, p) => draws.From(p)));
    }

    public Proposal Score(int[] actions) => ToProposal(controller.Forward((t, _) => actions[t]));

    public void Observe(Trial trial)
    {
        double reward = floor.Of(trial);
        mean = Decay * mean + (1 - Decay) * reward;
        square = Decay * square + (1 - Decay) * reward * reward;
        weight = Decay * weight + (1 - Decay);
        recent.Add((trial, reward));
        if (++observed % study.Batch != 0) return;
        int keep = clipped ? Window * study.Batch : study.Batch;
        if (recent.Count > keep) recent.RemoveRange(0, recent.Count - keep);
        for (int step = 0; step < (clipped ? Steps : 1); step++) Update();
    }

    void Update()
    {
        Array.Clear(controller.Gradient);
        double baseline = mean / weight, deviation = Math.Sqrt(Math.Max(square / weight - baseline * baseline, 1e-12));
        foreach (var (trial, reward) in recent)
        {
            double advantage = Math.Clamp((reward - baseline) / deviation, -LargestAdvantage, LargestAdvantage);
            var pass = controller.Forward((t, _) => trial.Actions[t]);
            controller.Backward(pass, clipped ? Clipped(pass, trial, advantage) : Corrected(pass, trial, advantage), study.Entropy);
        }
        for (int i = 0; i < controller.Gradient.Length; i++) controller.Gradient[i] /= recent.Count;
        adam.Step(controller.Parameters, controller.Gradient);
    }

    static double[] Corrected(LstmController.Pass pass, Trial trial, double advantage)
    {
        double log = trial.Actions.Select((_, t) => pass.LogProbability(t) - trial.LogProbabilities[t]).Sum();
        return [.. Enumerable.Repeat(Math.Min(Math.Exp(log), LargestRatio) * advantage, trial.Actions.Length)];
    }

    static double[] Clipped(LstmController.Pass pass, Trial trial, double advantage) =>
    [
        .. trial.Actions.Select((_, t) =>
        {
            double ratio = Math.Exp(pass.LogProbability(t) - trial.LogProbabilities[t]);
            return advantage > 0 ? ratio > 1 + Clip ? 0 : ratio * advantage : ratio < 1 - Clip ? 0 : ratio * advantage;
        }),
    ];

    static Proposal ToProposal(LstmController.Pass pass) =>
        new(pass.Actions, [.. pass.Actions.Select((_, t) => pass.LogProbability(t))], pass.Probabilities);
}

/// <summary>Adam (Kingma and Ba 2015) on one array; a gradient norm above 1 is scaled down to it.</summary>
sealed class Adam(int length, double rate)
{
    const double Beta1 = 0.9, Beta2 = 0.99, Epsilon = 1e-8;
    readonly double[] first = new double[length], second = new double[length];
    int steps;

    public void Step(double[] parameters, double[] gradient)
    {
        steps++;
        double norm = Math.Sqrt(gradient.Sum(g => g * g)), scale = norm > 1 ? 1 / norm : 1;
        double correct1 = 1 - Math.Pow(Beta1, steps), correct2 = 1 - Math.Pow(Beta2, steps);
        for (int i = 0; i < length; i++)
        {
            double g = gradient[i] * scale;
            first[i] = Beta1 * first[i] + (1 - Beta1) * g;
            second[i] = Beta2 * second[i] + (1 - Beta2) * g * g;
            parameters[i] -= rate * (first[i] / correct1) / (Math.Sqrt(second[i] / correct2) + Epsilon);
        }
    }
}
