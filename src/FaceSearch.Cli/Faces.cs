using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>What the verbs that work on faces share: loading, teaching, cleaning, each with its progress.</summary>
static class Faces
{
    public static FaceData Load(Settings settings, CancellationToken stop = default)
    {
        var data = FaceData.Load(settings, new Told<LoadProgress>(p => $"{p.What} {p.Done}/{p.Total}", p => p.Done == p.Total), stop);
        Console.WriteLine($"faces: {data.Summary}");
        return data;
    }

    /// <summary>The teacher's embeddings of the training faces.</summary>
    public static (float[] Embeddings, int Dimensions) Teach(Settings settings, FaceData data, int threads, CancellationToken stop)
    {
        using var device = Devices.Open(settings.Train.Device, threads, exact: settings.Train.Exact);
        return Teacher.Embed(settings, data.Train, device, stop, Progress("teacher: "));
    }

    /// <summary>The training faces as the settings clean them; the teacher is asked only if there is something to judge.</summary>
    public static FaceSet Cleaned(Settings settings, FaceData data, int threads, CancellationToken stop)
    {
        var clean = settings.Clean;
        bool judged = clean.DropBelow > -1 || clean.DropNearer < 2 || clean.MergeAbove < 2;
        if (!judged && clean.MinImages <= 1) return data.Train;
        var (embeddings, dimensions) = judged ? Teach(settings, data, threads, stop) : (new float[data.Train.Count], 1);
        var plan = Cleaning.Plan(embeddings, dimensions, data.Train.Labels, clean);
        Console.WriteLine(Describe(plan, data.Train));
        if (plan.Identities < 2) throw new InputException($"Clean: {plan.Identities} identities are left after cleaning, at least 2 are needed; clean less");
        return plan.Apply(data.Train);
    }

    public static string Describe(CleaningPlan plan, FaceSet faces) =>
        $"cleaning: {plan.Kept.Length} of {faces.Count} images kept, {plan.DroppedImages} dropped, " +
        $"{plan.MergedIdentities} identities merged, {plan.DroppedIdentities} dropped, {plan.Identities} left";

    /// <summary>`step 120/900 3 412 images/s loss 5.2 rate 0.08 eta 0:41`, at most every two seconds.</summary>
    public static IProgress<TrainProgress> Progress(string prefix, Action<TrainProgress>? also = null) => new Told<TrainProgress>(
        p => string.Create(CultureInfo.InvariantCulture, $"{prefix}step {p.Step}/{p.Steps} {Spaced(p.ImagesPerSecond)} images/s loss {p.Loss:0.00} rate {p.Rate:0.####} eta {TrialText.Time(p.Remaining)}"),
        p => p.Step == p.Steps, also);

    static string Spaced(double value) => value.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', ' ');

    /// Told at once, on the caller's thread, and not more often than somebody can read.
    sealed class Told<T>(Func<T, string> words, Func<T, bool> isLast, Action<T>? also = null) : IProgress<T>
    {
        static readonly TimeSpan Pause = TimeSpan.FromSeconds(2);
        readonly Lock gate = new();
        long last;

        public void Report(T value)
        {
            lock (gate)
            {
                also?.Invoke(value);
                if (last != 0 && TimeProvider.System.GetElapsedTime(last) < Pause && !isLast(value)) return;
                last = TimeProvider.System.GetTimestamp();
                Console.WriteLine(words(value));
            }
        }
    }
}
