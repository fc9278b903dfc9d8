using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>
/// Knows how to clean, train and verify a design. A run must be a pure function of its settings: the study repeats a
/// trial from scratch after an interruption and expects the same bits. Called from several threads at once.
/// </summary>
public interface ITrialRunner
{
    /// <summary>What a design costs and keeps, found without training (well under a second).</summary>
    TrialPlan Plan(Settings design);

    /// <summary>Prepares the training of a design; nothing is trained yet.</summary>
    ITrialRun Start(Settings design);
}

/// <summary>One training that goes on rung by rung.</summary>
public interface ITrialRun : IDisposable
{
    /// <summary>Trains on until <paramref name="share"/> (0 to 1] of the budget is used, then verifies.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled; the run is thrown away.</exception>
    RungResult Advance(double share, CancellationToken stop);
}

/// <summary>
/// What is known of a design before training. <see cref="Rejection"/> is empty when it may be trained, otherwise a
/// sentence: over a limit, or nothing left after cleaning.
/// </summary>
public sealed record TrialPlan(
    double MMacs, double MParams, double MemoryMiB, int KeptImages, int KeptIdentities, string Rejection = "");

/// <summary>
/// Where a training stands. Score: verification accuracy, 0 to 1. Images: trained on since the start.
/// <see cref="Diverged"/> is empty, or says how (NaN at step 12, flat loss).
/// </summary>
public sealed record RungResult(double Score, double Loss, long Images, string Diverged = "");
