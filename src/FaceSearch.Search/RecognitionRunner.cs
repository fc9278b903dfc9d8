using System.Collections.Concurrent;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Search;

/// <summary>
/// Cleans, trains and verifies designs on one data set. Every run has its own one-thread device: trials side by side
/// use the cores better than threads inside one small network.
/// </summary>
public sealed class RecognitionRunner(FaceData data, float[] teacher, int dimensions, StudySettings study) : ITrialRunner
{
    readonly ConcurrentDictionary<CleanSettings, Lazy<(CleaningPlan Plan, FaceSet Faces)>> cleaned = [];

    /// <summary>What a design's cleaning does to the training faces; computed once for each setting of the cleaning.</summary>
    public (CleaningPlan Plan, FaceSet Faces) Clean(CleanSettings settings) =>
        cleaned.GetOrAdd(settings, s => new(() =>
        {
            var plan = Cleaning.Plan(teacher, dimensions, data.Train.Labels, s);
            return (plan, plan.Apply(data.Train));
        })).Value;

    public TrialPlan Plan(Settings design)
    {
        var faces = Clean(design.Clean).Faces;
        if (faces.Identities < 2 || faces.Count < design.Train.Batch)
            return new(0, 0, 0, faces.Count, faces.Identities,
                $"cleaning leaves {faces.Count} images of {faces.Identities} identities; a batch has {design.Train.Batch}");
        var plan = TrainingPlan.Of(design, faces.Identities);
        return new(plan.MMacs, plan.MParams, plan.MemoryMiB, faces.Count, faces.Identities, Over(design.Limits, plan));
    }

    public ITrialRun Start(Settings design) => new Run(this, design);

    static string Over(LimitSettings limits, TrainingPlan plan)
    {
        static string Check(double value, double limit, string unit, string setting) =>
            limit > 0 && value > limit ? FormattableString.Invariant($"{value:F2} {unit} are over {setting} {limit}") : "";
        string[] over =
        [
            Check(plan.MMacs, limits.MMacs, "million multiply-accumulates", "Limits.MMacs"),
            Check(plan.MParams, limits.MParams, "million parameters", "Limits.MParams"),
            Check(plan.MemoryMiB, limits.MemoryMiB, "MiB of memory", "Limits.MemoryMiB"),
        ];
        return string.Join("; ", over.Where(o => o.Length > 0));
    }

    sealed class Run : ITrialRun
    {
        readonly RecognitionRunner runner;
        readonly Device device;
        readonly Training training;

        public Run(RecognitionRunner runner, Settings design)
        {
            this.runner = runner;
            device = Devices.Open(design.Train.Device, threads: 1, exact: design.Train.Exact, precision: design.Train.Precision);
            try
            {
                training = Training.Start(design, runner.Clean(design.Clean).Faces, device);
            }
            catch
            {
                device.Dispose();
                throw;
            }
        }

        public RungResult Advance(double share, CancellationToken stop)
        {
            long Images() => (long)training.Step * training.Settings.Train.Batch;
            try
            {
                training.Advance((int)Math.Ceiling(share * training.Steps), stop);
            }
            catch (DivergedException e)
            {
                return new(double.NaN, training.Loss, Images(), e.Message);
            }
            return new(runner.Score(training, stop), training.Loss, Images());
        }

        public void Dispose()
        {
            training.Dispose();
            device.Dispose();
        }
    }

    /// <summary>What trials are compared by, on the pairs for choosing.</summary>
    double Score(Training training, CancellationToken stop)
    {
        if (study.Score == "auc_all") return Evaluation.AucOfAll(training.Backbone, data.Choose.Faces, stop);
        var result = Evaluation.Verify(training.Backbone, data.Choose, stop);
        return study.Score == "auc" ? result.Auc : result.Accuracy;
    }

    static readonly TimeSpan BetweenCheckpoints = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Trains a design to its end and verifies it, if told to also on the final pairs. With a path it is kept there, from
    /// time to time and at the end, and goes on from there when it had been interrupted.
    /// </summary>
    /// <exception cref="DivergedException">The training did not get to its end.</exception>
    internal FinalFigures TrainToEnd(Settings design, string? checkpoint, bool look, int threads, CancellationToken stop, IProgress<TrainProgress>? progress = null)
    {
        using var device = Devices.Open(design.Train.Device, threads, exact: design.Train.Exact, precision: design.Train.Precision);
        var faces = Clean(design.Clean).Faces;
        using var training = checkpoint is null ? Training.Start(design, faces, device) : Training.StartOrResume(checkpoint, design, faces, device);
        if (checkpoint is null) training.Advance(training.Steps, stop, progress);
        else training.AdvanceToEnd(checkpoint, BetweenCheckpoints, stop, progress);
        double score = Score(training, stop);
        if (!look) return new(score, double.NaN, double.NaN);
        var final = Evaluation.Verify(training.Backbone, data.Final, stop);
        return new(score, final.Accuracy, final.Auc);
    }
}

/// <summary>Score on the pairs for choosing; accuracy and area under the ROC curve on the final pairs, NaN where not looked at.</summary>
sealed record FinalFigures(double Score, double Accuracy, double Auc);
