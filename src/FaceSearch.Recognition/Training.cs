using System.Diagnostics;
using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>Where a training stands. Times are of this machine and part of no result.</summary>
public readonly record struct TrainProgress(int Step, int Steps, double Loss, double Rate, double ImagesPerSecond, TimeSpan Remaining);

/// <summary>
/// One network in training. Its number of steps follows from the budget and the cost model, its bits from settings and
/// faces alone: not from threads, pauses, or how often it is advanced, saved and resumed.
/// </summary>
public sealed class Training : IDisposable
{
    // Mean of the last losses over about this many steps.
    const int Smoothing = 20;
    // A loss counts as flat when from two fifths of the steps on it is not one hundredth below what a network that
    // knows nothing would have. Shorter trainings than this are not judged: their mean is mostly noise.
    const double FlatFrom = 0.4, FlatAbove = 0.99;
    const int ShortestJudged = 250;
    // Times that saving takes.
    const int LeastBetweenSaves = 10;

    readonly Settings settings;
    readonly Learner learner;
    readonly Schedule schedule;
    readonly Batches batches;
    // The step whose images are on their way; −1 for none.
    int sent = -1;

    Training(Settings settings, FaceSet faces, Device device)
    {
        this.settings = settings;
        Plan = TrainingPlan.Of(settings, faces.Identities);
        Faces = faces;
        Memory = FitsOn(device);
        schedule = new(settings.Train, settings.Head, Plan.Steps);
        batches = new(faces, settings.Data.Size, settings.Train.Batch, settings.Seed, Augmentation.Of(settings.Train));
        learner = new(device, settings, faces.Identities);
    }

    public Settings Settings => settings;
    public FaceSet Faces { get; }
    public TrainingPlan Plan { get; }
    /// <summary>What it will take of a device with memory of its own (<see cref="TrainingPlan.MemoryOn"/>), and what was free there before; null on others.</summary>
    public (long Tensors, long Held, long Free)? Memory { get; }
    public Backbone Backbone => learner.Backbone;
    /// <summary>Told what each part of the next steps takes; null: nothing is measured. It changes no result.</summary>
    public Profiler? Profiler { get => learner.Profiler; set => learner.Profiler = value; }
    public int Steps => schedule.Steps;
    /// <summary>Steps done.</summary>
    public int Step { get; private set; }
    /// <summary>Of the first step, and the smoothed one; NaN before.</summary>
    public double FirstLoss { get; private set; } = double.NaN;
    public double Loss { get; private set; } = double.NaN;

    /// <summary>A new training on a device, which the caller keeps. Checks every setting it uses.</summary>
    public static Training Start(Settings settings, FaceSet faces, Device device) => new(settings, faces, device);

    /// Before there is anything in its memory.
    (long, long, long)? FitsOn(Device device)
    {
        if (device.MemoryBytes is not { } room) return null;
        var (tensors, held) = TrainingPlan.MemoryOn(device, settings, Faces.Identities);
        return tensors <= room.All ? (tensors, held, room.Free) : throw new DeviceException($"{device.Name} has {room.All >> 20} MiB and this training takes {tensors >> 20}: a smaller Train.Batch needs less, with many identities Train.Clip=0, and Train.Precision=bf16");
    }

    /// <summary>Goes on exactly where the checkpoint was written. The faces must be the same.</summary>
    public static Training Resume(string path, FaceSet faces, Device device)
    {
        using var saved = Checkpoint.Read(path);
        return Resume(path, saved, faces, device);
    }

    static Training Resume(string path, Checkpoint saved, FaceSet faces, Device device)
    {
        if (saved.Header.Faces != faces.ContentHash)
            throw new InputException($"{path}: this training was on other faces ({saved.Header.Identities} identities, these are {faces.Identities}); give it the same data and cleaning, or start anew");
        var training = new Training(saved.Header.Settings, faces, device);
        saved.Restore([.. training.learner.State]);
        (training.Step, training.FirstLoss, training.Loss) = (saved.Header.Step, saved.Header.FirstLoss, saved.Header.Loss);
        return training;
    }

    /// <summary>Goes on with a checkpoint of this very training, or starts it where there is none.</summary>
    public static Training StartOrResume(string path, Settings settings, FaceSet faces, Device device)
    {
        if (!File.Exists(path)) return Start(settings, faces, device);
        using var saved = Checkpoint.Read(path);
        return saved.Header.Settings == settings && saved.Header.Faces == faces.ContentHash ? Resume(path, saved, faces, device) : Start(settings, faces, device);
    }

    /// <summary>Writes everything that <see cref="Resume"/> and <see cref="Checkpoint.LoadBackbone"/> need.</summary>
    public void Save(string path) =>
        Checkpoint.Write(path, new(settings, Step, Faces.Identities, Faces.ContentHash, FirstLoss, Loss), [.. learner.State]);

    /// <summary>Trains until that many steps are done. Throws <see cref="DivergedException"/>; cancelled between two steps.</summary>
    public void Advance(int toStep, CancellationToken stop = default, IProgress<TrainProgress>? progress = null)
    {
        var clock = Stopwatch.StartNew();
        int start = Step, end = Math.Min(toStep, Steps);
        for (double told = 0; Step < end;)
        {
            stop.ThrowIfCancellationRequested();
            Send(Step);
            learner.Start();
            // While the device is at work.
            if (Step + 1 < Steps) Send(Step + 1);
            Watch(learner.Finish().Loss);
            Step++;
            double seconds = clock.Elapsed.TotalSeconds;
            if (progress is null || (seconds < told + 0.5 && Step < end)) continue;
            told = seconds;
            double each = seconds / (Step - start);
            progress.Report(new(Step, Steps, Loss, schedule.Rate(Step - 1), settings.Train.Batch / each, TimeSpan.FromSeconds(each * (Steps - Step))));
        }
    }

    /// Images, labels and numbers of a step to the device, unless they are there already.
    void Send(int step)
    {
        if (sent == step) return;
        var next = learner.Exchange;
        bool bytes;
        // A byte read and a float written for each value.
        using (Profiler?.Open("batch", new(0, 0, 5L * next.Images.Shape.Count))) bytes = batches.Fill(step, next);
        learner.Send(step, schedule.Rate(step), schedule.Margin(step), bytes);
        sent = step;
    }

    /// <summary>
    /// Trains to the end; the checkpoint is written from time to time, at the end, and when stopped. One that takes long (ten million
    /// centres are 40 GB) is written more seldom.
    /// </summary>
    public void AdvanceToEnd(string checkpoint, TimeSpan every, CancellationToken stop = default, IProgress<TrainProgress>? progress = null)
    {
        for (var next = every; Step < Steps;)
        {
            using var pause = CancellationTokenSource.CreateLinkedTokenSource(stop);
            pause.CancelAfter(next);
            try { Advance(Steps, pause.Token, progress); }
            catch (OperationCanceledException) when (pause.IsCancellationRequested) { }
            long start = Stopwatch.GetTimestamp();
            Save(checkpoint);
            var least = LeastBetweenSaves * Stopwatch.GetElapsedTime(start);
            next = least > every ? least : every;
            stop.ThrowIfCancellationRequested();
        }
    }

    void Watch(double loss)
    {
        if (Step == 0) FirstLoss = Loss = loss;
        Loss += (loss - Loss) / Math.Min(Step + 1, Smoothing);
        double unknowing = FirstLoss + schedule.Penalty(Step) - schedule.Penalty(0);
        if (Steps >= ShortestJudged && Step >= FlatFrom * Steps && !(Loss < FlatAbove * unknowing))
            throw new DivergedException(Step, $"the loss is {Loss:F2} where a network that knows nothing has {unknowing:F2}; a lower Train.Rate or a smaller margin may help");
    }

    public void Dispose() => learner.Dispose();
}
