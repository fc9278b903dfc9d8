using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>
/// The network whose embeddings tell clean labels from wrong ones: the default small backbone, trained shortly on the
/// uncleaned faces with a normalised softmax of scale 16 and no margin. A margin would force it to fit the wrong labels
/// too, and so would a long training. Each round but the first trains anew without the faces that looked wrong to the
/// round before (as the teacher–student rounds of WebFace260M do). One teacher serves all trials on the same faces.
/// </summary>
public static class Teacher
{
    const string Format = "facesearch teacher 4";
    const double Scale = 16;

    /// <summary>Unit embeddings [faces, dimensions] of the training faces and their dimensions, from the user's cache or a training.</summary>
    public static (float[] Embeddings, int Dimensions) Embed(Settings settings, FaceSet faces, Device device,
        CancellationToken stop = default, IProgress<TrainProgress>? progress = null) =>
        Embed(settings, faces, device, CacheFolder.Path, stop, progress);

    internal static (float[] Embeddings, int Dimensions) Embed(Settings settings, FaceSet faces, Device device, string cache,
        CancellationToken stop = default, IProgress<TrainProgress>? progress = null)
    {
        var own = Design(settings);
        var path = Path.Combine(cache, Key(own, faces) + ".embeddings");
        if (Read(path, faces.Count * own.Net.Embedding) is { } cached) return (cached, own.Net.Embedding);
        var embeddings = Round(own, faces, faces, device, stop, progress);
        for (int round = 1; round < own.Clean.TeacherRounds && Trusted(own, faces, embeddings) is { } trusted; round++)
            embeddings = Round(own, trusted, faces, device, stop, progress);
        Write(path, embeddings);
        return (embeddings, own.Net.Embedding);
    }

    static float[] Round(Settings own, FaceSet trusted, FaceSet faces, Device device, CancellationToken stop, IProgress<TrainProgress>? progress)
    {
        using var training = Training.Start(own, trusted, device);
        training.Advance(training.Steps, stop, progress);
        return Embedder.Embed(training.Backbone, faces, stop: stop);
    }

    /// The faces without those that look wrong by the last round's embeddings; null where no wrong ones are to be seen.
    static FaceSet? Trusted(Settings own, FaceSet faces, float[] embeddings)
    {
        int d = own.Net.Embedding;
        double threshold = Cleaning.BlindThreshold(Cleaning.LeaveOneOutScores(embeddings, d, faces.Labels));
        if (threshold <= -1) return null;
        var kept = Cleaning.Plan(embeddings, d, faces.Labels, new() { DropBelow = threshold }).Apply(faces);
        return kept.Identities < 2 || kept.Count < own.Train.Batch ? null : kept;
    }

    /// <summary>The teacher's own settings: of the run's it keeps data, seed and Clean.TeacherBudget.</summary>
    public static Settings Design(Settings settings) => new()
    {
        Seed = settings.Seed,
        Data = settings.Data,
        Head = new() { TrueScale = Scale, FalseScale = Scale, M1 = 1, M2 = 0, M3 = 0 },
        Clean = new() { TeacherRounds = settings.Clean.TeacherRounds },
        Train = new() { Budget = settings.Clean.TeacherBudget },
    };

    // The default settings of net and training are part of the key: changing a default must not revive old embeddings.
    static string Key(Settings own, FaceSet faces)
    {
        var described = SettingsPath.All(own).Where(e => !e.Path.StartsWith("Data.", StringComparison.Ordinal) || e.Path == "Data.Size")
            .Select(e => FormattableString.Invariant($"{e.Path}={e.Value}"));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{Format}\n{faces.ContentHash}\n{string.Join('\n', described)}")))[..32];
    }

    static float[]? Read(string path, int count)
    {
        try
        {
            if (!File.Exists(path)) return null;
            var bytes = File.ReadAllBytes(path);
            int values = bytes.Length - SHA256.HashSizeInBytes;
            return values == 4L * count && SHA256.HashData(bytes.AsSpan(0, values)).AsSpan().SequenceEqual(bytes.AsSpan(values))
                ? MemoryMarshal.Cast<byte, float>(bytes.AsSpan(0, values)).ToArray() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // A cache that cannot be written costs the next run time, never this one its result.
    static void Write(string path, float[] embeddings)
    {
        try
        {
            AtomicFile.Write(path, "the teacher's cache", file =>
            {
                var bytes = MemoryMarshal.AsBytes<float>(embeddings);
                file.Write(bytes);
                file.Write(SHA256.HashData(bytes));
            });
        }
        catch (InputException) { }
    }
}
