using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;

namespace FaceSearch.Cli;

/// <summary>`facesearch data synth | inspect`: makes generated faces into files, looks at what a run would work on.</summary>
static class DataVerb
{
    static readonly Option<string> Out = new("--out") { Description = "folder to write", HelpName = "DIR", Required = true };
    static readonly Option<bool> All = new("--all") { Description = "list everything that is skipped, not only the first of each reason" };

    public static Command Create()
    {
        var synth = new Command("synth", "Write generated faces as PNG files, with the truth and pairs lists") { Out };
        synth.SetAction(result => Write(result.Settings().Run, result.GetValue(Out)!));
        var inspect = new Command("inspect", "Count what a run would train on, choose by and skip, and why") { All };
        inspect.SetAction(result => Inspect(result.Settings().Run, result.GetValue(All)));
        return new Command("data", "Make and look at data: synth, inspect")
        {
            synth.WithSettings().WithExamples("facesearch data synth --out faces --set Data.SynthIdentities=50"),
            inspect.WithSettings().WithExamples("facesearch data inspect --set Data.Folder=photographs"),
        }.WithExamples("facesearch data synth --out faces", "facesearch data inspect --set Data.Folder=photographs");
    }

    static void Write(Settings settings, string folder)
    {
        settings = settings with { Data = settings.Data with { Folder = "" } };
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            throw new InputException($"--out {folder} is not empty; choose a new folder");
        var faces = Faces.Load(settings);
        try
        {
            Directory.CreateDirectory(folder);
            Synth.Export(Together(faces.Train, faces.Choose.Faces, faces.Final.Faces), folder);
            PairList.Write(Path.Combine(folder, "pairs_choose.txt"), Named(faces.Choose));
            PairList.Write(Path.Combine(folder, "pairs_final.txt"), Named(faces.Final));
            Synth.ContactSheet(faces.Train, Path.Combine(folder, "sheet.png"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"--out {folder} cannot be written: {e.Message}", e);
        }
        var (margin, size) = (settings.Data.Margin, settings.Data.Size);
        Console.WriteLine($"to use them: --set Data.Folder={folder} --set Data.Crop={margin},{margin},{size},{size} --set Data.Size={size}" +
            $" --set Data.Pairs={Path.Combine(folder, "pairs_choose.txt")} --set Data.FinalPairs={Path.Combine(folder, "pairs_final.txt")}");
    }

    /// Sets of different people as one; pixels are shared.
    static FaceSet Together(params FaceSet[] sets)
    {
        var first = new int[sets.Length];
        for (int i = 1; i < sets.Length; i++) first[i] = first[i - 1] + sets[i - 1].Identities;
        return new()
        {
            Side = sets[0].Side,
            Images = [.. sets.SelectMany(s => s.Images)],
            Labels = [.. sets.SelectMany((s, i) => s.Labels.Select(l => first[i] + l))],
            IdentityNames = [.. sets.SelectMany(s => s.IdentityNames)],
            Sources = [.. sets.SelectMany(s => s.Sources)],
            TrueLabels = [.. sets.SelectMany(s => s.TrueLabels!)],
        };
    }

    /// Pairs by name and running number, as the files are named.
    static List<NamedPair> Named(PairSet pairs)
    {
        var seen = new int[pairs.Faces.Identities];
        var numbers = pairs.Faces.Labels.Select(label => ++seen[label]).ToArray();
        string Name(int row) => pairs.Faces.IdentityNames[pairs.Faces.Labels[row]];
        return [.. pairs.Pairs.Select((p, i) => new NamedPair(Name(p.A), numbers[p.A], Name(p.B), numbers[p.B], 0, i))];
    }

    static void Inspect(Settings settings, bool all)
    {
        var faces = Faces.Load(settings);
        Console.WriteLine($"stored at {faces.Train.Side}×{faces.Train.Side} pixels, of which the network sees {settings.Data.Size}×{settings.Data.Size}");
        Describe("train", faces.Train);
        Describe("choose", faces.Choose);
        Describe("final", faces.Final);
        Histogram(faces.Train);
        foreach (var reason in faces.Skipped.GroupBy(s => s.Reason).OrderByDescending(g => g.Count()).ThenBy(g => g.Key, StringComparer.Ordinal))
        {
            Console.WriteLine($"skipped {reason.Count()}: {reason.Key}");
            foreach (var skip in reason.Take(all ? int.MaxValue : 3)) Console.WriteLine($"  {skip.Path}");
        }
    }

    static void Describe(string what, PairSet set)
    {
        Describe(what, set.Faces);
        Console.WriteLine($"        {set.Pairs.Count(p => p.Same)} pairs of the same person, {set.Pairs.Count(p => !p.Same)} of different people, {set.Pairs.Select(p => p.Fold).Distinct().Count()} folds");
    }

    static void Describe(string what, FaceSet set)
    {
        var wrong = set.TrueLabels is null ? "" : $", {Enumerable.Range(0, set.Count).Count(i => (set.Owners?[set.Labels[i]] ?? set.Labels[i]) != set.TrueLabels[i])} known to be labelled wrongly";
        Console.WriteLine($"{what,-7} {set.Count} images of {set.Identities} identities{wrong}");
    }

    /// Bars of 50 marks at most; the ranges double.
    static void Histogram(FaceSet set)
    {
        var images = set.Labels.GroupBy(l => l).Select(g => g.Count()).ToArray();
        var bins = images.GroupBy(n => (int)Math.Log2(n)).OrderBy(g => g.Key).ToArray();
        int most = bins.Max(b => b.Count());
        Console.WriteLine("images of an identity:");
        foreach (var bin in bins)
        {
            int low = 1 << bin.Key, high = (2 << bin.Key) - 1;
            var range = low == high ? $"{low}" : string.Create(CultureInfo.InvariantCulture, $"{low}-{high}");
            Console.WriteLine($"  {range,9} {bin.Count(),7} {new string('#', (50 * bin.Count() + most - 1) / most)}");
        }
    }
}
