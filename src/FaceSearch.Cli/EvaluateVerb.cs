using System.CommandLine;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>`facesearch evaluate CHECKPOINT`: verification figures of a trained network.</summary>
static class EvaluateVerb
{
    static readonly double[] FalseAcceptRates = [1e-1, 1e-2, 1e-3, 1e-4];

    static readonly Argument<string> File = new("checkpoint") { Description = "file that train or search has written" };
    static readonly Option<string> Pairs = new("--pairs") { Description = "pairs list in LFW's format over Data.Folder; default: the choosing pairs of the training", HelpName = "FILE", DefaultValueFactory = _ => "" };
    static readonly Option<bool> Final = new("--final") { Description = "the pairs kept for the end, instead of the choosing pairs" };

    public static Command Create()
    {
        var command = new Command("evaluate", "Verify pairs of faces with a trained network: accuracy, AUC, TAR at FAR") { File, Pairs, Final, SettingsOptions.Device, SettingsOptions.Threads };
        command.SetAction(Run);
        return command.WithSettings().WithExamples(
            "facesearch evaluate runs/train-1/seed-1.checkpoint",
            "facesearch evaluate runs/search/search.best.checkpoint --final",
            "facesearch evaluate face.checkpoint --pairs lfw/pairs.txt --set Data.Folder=lfw --set Data.Crop=59,50,132,132");
    }

    static int Run(ParseResult result)
    {
        using var stop = new StopSignals();
        var path = result.GetValue(File)!;
        using var saved = Checkpoint.Read(path);
        var trained = saved.Header.Settings;
        var settings = result.Settings(Beside(path, trained)).Run;
        if (settings.Data.Size != trained.Data.Size)
            throw new InputException($"Data.Size: the network of {path} sees {trained.Data.Size} pixels, not {settings.Data.Size}");
        try
        {
            var pairs = PairsOf(result, settings, path, stop.Token);
            // Not where it was trained: that machine may have had a GPU.
            var device = result.GetValue(SettingsOptions.Device) is { Length: > 0 } asked ? asked : Devices.Auto;
            using var opened = Devices.Open(device, result.ThreadCount(), exact: trained.Train.Exact);
            using var backbone = saved.LoadBackbone(opened);
            Print(Embedder.Embed(backbone, pairs.Faces, stop: stop.Token), backbone.Settings.Embedding, pairs.Pairs);
            return 0;
        }
        catch (OperationCanceledException) when (stop.ExitCode != 0)
        {
            return stop.Stopped(Repeat.Command());
        }
    }

    static PairSet PairsOf(ParseResult result, Settings settings, string path, CancellationToken stop)
    {
        if (result.GetValue(Pairs) is { Length: > 0 } list)
        {
            var named = PairList.Read(list);
            var wanted = named.SelectMany(p => new[] { p.NameA, p.NameB }).ToHashSet(StringComparer.Ordinal);
            if (settings.Data.Folder.Length == 0) throw new InputException("--pairs needs photographs: --set Data.Folder=DIR");
            return PairList.Resolve(named, ImageFolder.Load(settings.Data.Folder, CropBox.Parse(settings.Data.Crop), settings.Data.Size, settings.Data.Margin, wanted.Contains, stop: stop), list);
        }
        // Who was held out follows from the seed of the faces, which is the run's and not always that of the weights.
        if (!System.IO.File.Exists(SettingsBeside(path)))
            throw new InputException($"{path}: without the {RunFolder.SettingsFile} of its run beside it nobody can tell whom the network has not seen; give --pairs FILE, or put the checkpoint back");
        var data = Faces.Load(settings, stop);
        return result.GetValue(Final) ? data.Final : data.Choose;
    }

    static Search.SearchSettings Beside(string path, Settings trained)
    {
        var file = SettingsBeside(path);
        var own = new Search.SearchSettings { Seed = trained.Seed, Data = trained.Data, Clean = trained.Clean, Net = trained.Net, Head = trained.Head, Train = trained.Train, Limits = trained.Limits };
        if (!System.IO.File.Exists(file)) return own;
        return own with { Seed = SettingsSource.Load(new Search.SearchSettings(), file, new Dictionary<string, string>(), []).Seed };
    }

    static string SettingsBeside(string path) => Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, RunFolder.SettingsFile);

    static void Print(float[] embeddings, int dimensions, Pair[] pairs)
    {
        var figures = Verification.Evaluate(embeddings, dimensions, pairs);
        var likeness = Array.ConvertAll(Verification.Distances(embeddings, dimensions, pairs), d => -d);
        var genuine = likeness.Where((_, i) => pairs[i].Same).ToArray();
        var impostor = likeness.Where((_, i) => !pairs[i].Same).ToArray();
        Console.WriteLine(FormattableString.Invariant($"pairs {pairs.Length}: {genuine.Length} of the same person, {impostor.Length} of different people"));
        Console.WriteLine(FormattableString.Invariant($"accuracy {figures.Accuracy:0.0000} ± {figures.AccuracyStd:0.0000} over {figures.FoldAccuracies.Length} folds"));
        Console.WriteLine(FormattableString.Invariant($"auc {figures.Auc:0.0000}"));
        foreach (double far in FalseAcceptRates)
            Console.WriteLine(impostor.Length * far >= 1
                ? FormattableString.Invariant($"tar@far={far:0.0###} {Verification.TarAtFar(genuine, impostor, far):0.0000}")
                : FormattableString.Invariant($"tar@far={far:0.0###} needs {1 / far:0} pairs of different people, there are {impostor.Length}"));
    }
}
