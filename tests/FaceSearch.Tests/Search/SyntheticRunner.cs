using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Tests.Search;

/// A landscape over the mini space with every way a trial can end, computed in microseconds.
sealed class SyntheticRunner : ITrialRunner
{
    readonly Lock gate = new();
    int steps;

    /// Called before each rung with the number of rungs begun so far.
    public Action<int> BeforeRung { get; init; } = _ => { };

    public int Steps => steps;

    public TrialPlan Plan(Settings design)
    {
        double mmacs = 40 * design.Net.Width * design.Net.Width * design.Net.Depth;
        int images = 2000 - (int)(1500 * Math.Max(0, design.Clean.DropBelow)) - 100 * design.Clean.MinImages;
        var rejection = mmacs > 100 ? string.Create(CultureInfo.InvariantCulture, $"{mmacs} MMACs are over the limit of 100") : "";
        return new(mmacs, mmacs / 50, 100 + mmacs, images, 200, rejection);
    }

    public ITrialRun Start(Settings design) => design.Head.M3 == 0.2 && design.Head.M2 == 0.5
        ? throw new InvalidOperationException("the head exploded")
        : new SyntheticRun(this, design);

    /// True score of a design after all its training, without noise.
    public static double Score(Settings s) =>
        0.95 - Far(s.Head.TrueScale, 32, 64) * 0.3 - Far(s.Head.FalseScale, 48, 64) * 0.3 - Far(s.Head.M2, 0.2, 0.5) * 0.1
        - Far(s.Clean.DropBelow, 0.15, 1) * 0.1 - Far(s.Net.Width, 1.5, 1) * 0.05 - Far(s.Head.M1 * s.Head.M2, 0.3, 1) * 0.1;

    static double Far(double value, double best, double range) => Math.Pow((value - best) / range, 2);

    void Count()
    {
        int now;
        lock (gate) now = ++steps;
        BeforeRung(now);
    }

    sealed class SyntheticRun(SyntheticRunner runner, Settings design) : ITrialRun
    {
        public RungResult Advance(double share, CancellationToken stop)
        {
            runner.Count();
            stop.ThrowIfCancellationRequested();
            if (design.Head is { TrueScale: 8 }) return new(double.NaN, double.NaN, 10, "the loss is NaN at step 3");
            ulong key = (ulong)SettingsPath.All(design).Aggregate(17L, (hash, e) => hash * 31 + Text(e.Value).Aggregate(7L, (h, c) => h * 131 + c));
            Thread.Sleep((int)(Environment.TickCount64 % 2));
            return new(Score(design) * (0.5 + 0.5 * share) + 0.01 * Noise.Normal(key, 3, (ulong)(share * 100)), 1 / share, (long)(1000 * share));
        }

        static string Text(object value) => Convert.ToString(value, CultureInfo.InvariantCulture)!;

        public void Dispose() { }
    }
}

/// A folder of its own, removed at the end.
sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("facesearch").FullName;
    public string File(string name) => System.IO.Path.Combine(Path, name);
    public void Dispose() => Directory.Delete(Path, recursive: true);
}
