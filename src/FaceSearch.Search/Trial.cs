using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>Where a trial stands. Only <see cref="Complete"/> trials have a final score.</summary>
public enum TrialState
{
    Queued,
    Running,
    Complete,
    /// <summary>Stopped at a rung because it lagged behind earlier trials.</summary>
    Pruned,
    /// <summary>Over a limit of FLOPs, parameters or memory, or left without data by its own cleaning; never trained.</summary>
    Rejected,
    /// <summary>The loss became NaN or stayed flat.</summary>
    Diverged,
    /// <summary>Stopped by an error; <see cref="Trial.Message"/> tells it.</summary>
    Failed,
    /// <summary>Its worker died; it will be run again.</summary>
    Lost,
}

/// <summary>Who asked for a trial.</summary>
public enum TrialOrigin
{
    Policy,
    /// <summary>A known design, given to the study by a person.</summary>
    Enqueued,
    /// <summary>The settings' own design, number −1, without actions.</summary>
    Baseline,
}

/// <summary>One design, and what became of it.</summary>
public sealed record Trial
{
    public required int Number { get; init; }
    /// <summary>The chosen option of each decision of the space, in its order.</summary>
    public required int[] Actions { get; init; }
    /// <summary>Log-probability of each choice under the policy that made it (empty for policies without probabilities).</summary>
    public double[] LogProbabilities { get; init; } = [];
    /// <summary>The policy's distribution over the options of each decision when it made this proposal.</summary>
    public double[][] Probabilities { get; init; } = [];
    public TrialOrigin Origin { get; init; }
    public TrialState State { get; init; } = TrialState.Queued;
    /// <summary>Verification score (accuracy, 0 to 1) at each rung reached.</summary>
    public double[] Scores { get; init; } = [];
    /// <summary>
    /// Last score − β·|FLOPs / target − 1|, β = 0.05 by default; NaN where there is no score. That of a
    /// <see cref="TrialState.Pruned"/> trial stands on its last rung and is no final figure.
    /// </summary>
    public double Reward { get; init; } = double.NaN;
    /// <summary>Multiply-accumulates of one forward pass, in millions.</summary>
    public double MMacs { get; init; }
    /// <summary>Parameters of the backbone, in millions.</summary>
    public double MParams { get; init; }
    /// <summary>Planned memory of one training step, in MiB.</summary>
    public double MemoryMiB { get; init; }
    public int KeptImages { get; init; }
    public int KeptIdentities { get; init; }
    /// <summary>Final training loss; NaN where none.</summary>
    public double Loss { get; init; } = double.NaN;
    /// <summary>Why it was rejected, diverged, failed; empty otherwise.</summary>
    public string Message { get; init; } = "";
    /// <summary>Wall seconds of the trial. Not part of a study's identity.</summary>
    public double Seconds { get; init; }
    /// <summary>How often it was started; more than one after an interruption. Not part of a study's identity.</summary>
    public int Attempts { get; init; }

    /// <summary>Nothing more will happen to it.</summary>
    public bool IsFinished => State is not (TrialState.Queued or TrialState.Running or TrialState.Lost);
}
