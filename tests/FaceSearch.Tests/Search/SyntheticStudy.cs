using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Tests.Search;

/// A study as a search would leave it: scores are additive in the decisions, plus noise and, on request, a coupling
/// of cleaning and loss; the policy's probabilities sharpen around the better options.
sealed class SyntheticStudy : IDisposable
{
    const string CommandLine = "facesearch search --set Study.Name=\"faces & friends\" --set Study.Trials=60";
    readonly string folder = Directory.CreateTempSubdirectory("facesearch").FullName;

    public StudyStore Store { get; }
    public string Folder => folder;

    public SyntheticStudy(string policy = "ppo", int trials = 0, string name = "faces", Func<int, Trial, Trial>? change = null)
    {
        var settings = new SearchSettings { Seed = 3, Study = new() { Name = name, Policy = policy, Trials = Math.Max(1, trials) } };
        Store = StudyStore.Create(Path.Combine(folder, "faces.study"), settings, Spaces.Mini, command: CommandLine, commit: "0123abc");
        Store.SetTarget(24);
        if (trials == 0) return;
        Store.Save(new Trial { Number = -1, Origin = TrialOrigin.Baseline, State = TrialState.Complete, Actions = [], Scores = [0.61, 0.66, 0.68], Reward = 0.68, MMacs = 24, MParams = 0.5, MemoryMiB = 80, KeptImages = 3360, KeptIdentities = 240, Seconds = 31 });
        for (int n = 0; n < trials; n++) Store.Save(change is null ? Proposed(n, trials, policy) : change(n, Proposed(n, trials, policy)));
    }

    /// Final retraining and cleaning audit.
    public void Finish(double[] best, double[] baseline)
    {
        for (int s = 0; s < best.Length; s++) Store.SetNote($"final.best.{s + 101}", best[s].ToString(System.Globalization.CultureInfo.InvariantCulture));
        for (int s = 0; s < baseline.Length; s++) Store.SetNote($"final.baseline.{s + 101}", baseline[s].ToString(System.Globalization.CultureInfo.InvariantCulture));
        Store.SetNote("final.training", "the budget of a trial");
        Store.SetNote("environment.processor", "8 cores <AVX-512>");
        Store.SetAudit(Enumerable.Range(0, 260).Select(i => new AuditEntry($"person{i / 3:000}/{i:0000}.jpg", $"person{i / 3:000}",
            i % 5 == 0 ? $"moved to person{i % 80:000}" : "dropped", i % 5 == 0 ? 0.7 + 0.1 * Uniform(7, i) : -0.1 + 0.3 * Uniform(7, i))));
    }

    public string Write()
    {
        var path = HtmlReport.DefaultPath(Store);
        HtmlReport.Write(Store, path);
        return File.ReadAllText(path);
    }

    static double Uniform(ulong stream, int index) => Noise.Uniform(3, stream, (ulong)index);

    static Trial Proposed(int number, int trials, string policy)
    {
        var space = Spaces.Mini;
        double sharpness = policy == "random" ? 0 : 4.0 * Math.Max(0, number - 12) / trials;
        double[][] probabilities = [.. space.Counts.Select(n => Softmax(n, sharpness))];
        int[] actions = [.. probabilities.Select((p, d) => Draw(p, Uniform((ulong)number + 100, d)))];
        double quality = actions.Select((a, d) => (double)a / space.Counts[d]).Average();
        double score = 0.55 + 0.35 * quality + 0.015 * Noise.Normal(3, 50, (ulong)number);
        double mmacs = 8 + 14 * actions[7] + 6 * actions[8];
        var trial = new Trial
        {
            Number = number, Actions = actions, Probabilities = policy == "evolution" ? [] : probabilities, Scores = [score - 0.06, score - 0.02, score],
            State = TrialState.Complete, Reward = score - 0.05 * Math.Abs(mmacs / 24 - 1), MMacs = mmacs, MParams = 0.02 * mmacs, MemoryMiB = 60 + mmacs,
            KeptImages = 3300 - 90 * actions[4], KeptIdentities = 240 - 6 * actions[6], Loss = 2.1, Seconds = 28 + number % 7, Attempts = 1,
        };
        return (number % 11) switch
        {
            3 when score < 0.72 => trial with { State = TrialState.Pruned, Scores = trial.Scores[..1], Reward = trial.Reward - 0.06, Seconds = 8 },
            6 => trial with { State = TrialState.Rejected, Scores = [], Reward = double.NaN, Seconds = 0, Message = $"needs {mmacs} MMACs, the limit is 30" },
            9 when number > 15 => trial with { State = TrialState.Diverged, Scores = [], Reward = double.NaN, Seconds = 2, Message = "loss is NaN at step 12" },
            _ => trial,
        };
    }

    static double[] Softmax(int n, double sharpness)
    {
        double[] weights = [.. Enumerable.Range(0, n).Select(i => Math.Exp(sharpness * i / n))];
        return [.. weights.Select(w => w / weights.Sum())];
    }

    static int Draw(double[] probabilities, double left)
    {
        for (int i = 0; i < probabilities.Length - 1; i++)
            if ((left -= probabilities[i]) < 0) return i;
        return probabilities.Length - 1;
    }

    public void Dispose()
    {
        Store.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
