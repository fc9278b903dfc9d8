using System.CommandLine;
using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;

namespace FaceSearch.Cli;

/// <summary>`facesearch clean`: what a cleaning would do, image by image.</summary>
static class CleanVerb
{
    static readonly Option<bool> Blind = new("--blind") { Description = "choose Clean.DropNearer from the similarities alone" };

    public static Command Create()
    {
        var command = new Command("clean", "Find wrong labels with a teacher; write down what to drop and merge") { Blind, SettingsOptions.Device, SettingsOptions.Threads, SettingsOptions.Runs };
        command.SetAction(Run);
        return command.WithSettings().WithExamples(
            "facesearch clean --blind                                 finds a threshold by itself, and says which",
            "facesearch clean --set Data.Folder=photographs --set Clean.DropBelow=0.2 --set Clean.MergeAbove=0.8");
    }

    static int Run(ParseResult result)
    {
        var settings = result.Settings().OnThisMachine();
        using var stop = new StopSignals();
        using var folder = new RunFolder(RunFolder.Free(result.GetValue(SettingsOptions.Runs)!, "clean"), settings, [settings.Seed], resume: false);
        try
        {
            var faces = Faces.Load(settings.Run, stop.Token);
            var (embeddings, dimensions) = Faces.Teach(settings.Run, faces, result.ThreadCount(), stop.Token);
            var clean = result.GetValue(Blind) ? settings.Clean with { DropNearer = Threshold(embeddings, dimensions, faces.Train.Labels) } : settings.Clean;
            var plan = Cleaning.Plan(embeddings, dimensions, faces.Train.Labels, clean);
            Console.WriteLine(Faces.Describe(plan, faces.Train));
            if (faces.Train.TrueLabels is { } truth) Truth(CleaningAudit.PrecisionRecall(plan, faces.Train.Labels, truth, faces.Train.Owners));
            var file = folder.In("cleaning.csv");
            Write(file, plan, faces.Train);
            folder.Log(new { kept = plan.Kept.Length, images = faces.Train.Count, dropped = plan.DroppedImages, merged = plan.MergedIdentities, dropped_identities = plan.DroppedIdentities, clean.DropBelow, clean.DropNearer });
            Console.WriteLine($"what was done: {file}");
            return 0;
        }
        catch (OperationCanceledException) when (stop.ExitCode != 0)
        {
            return stop.Stopped(Repeat.Command());
        }
    }

    static double Threshold(float[] embeddings, int dimensions, int[] labels)
    {
        double threshold = Cleaning.BlindNearer(Cleaning.NearerToOthers(embeddings, dimensions, labels));
        Console.WriteLine(threshold >= 2 ? "blind threshold: none, the similarities show no group of wrong labels"
            : FormattableString.Invariant($"blind threshold: Clean.DropNearer={threshold:0.000}"));
        return threshold;
    }

    static void Truth(CleaningAudit audit) => Console.WriteLine($"known truth: {audit.Wrong} wrong labels, {audit.Found} of them among the {audit.Dropped} dropped images" +
        (audit.Dropped > 0 && audit.Wrong > 0 ? FormattableString.Invariant($": precision {audit.Precision:0.000} recall {audit.Recall:0.000}") : ""));

    static void Write(string file, CleaningPlan plan, FaceSet faces)
    {
        string Name(int label) => label < 0 ? "" : faces.IdentityNames[label];
        try
        {
            using var writer = new StreamWriter(file);
            writer.WriteLine("image,done,cosine,from,to");
            foreach (var a in plan.Actions)
                writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{Csv(faces.Sources[a.Image])},{Words(a.Step)},{(double.IsNaN(a.Cosine) ? "" : a.Cosine.ToString("0.0000", CultureInfo.InvariantCulture))},{Csv(Name(a.From))},{Csv(Name(a.To))}"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be written: {e.Message}", e);
        }
    }

    static string Words(CleaningStep step) => step switch
    {
        CleaningStep.DropImage => "dropped",
        CleaningStep.MergeIdentity => "moved",
        _ => "dropped with its identity",
    };

    static string Csv(string text) => text.AsSpan().IndexOfAny(",\"\n\r") < 0 ? text : '"' + text.Replace("\"", "\"\"") + '"';
}
