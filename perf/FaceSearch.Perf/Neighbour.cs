using System.Diagnostics;
using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>What a busy process on one core does to a case: both sides alone and beside it, in turn.</summary>
static class Neighbour
{
    public const string Verb = "spin";
    const int Rounds = 3, SettleMilliseconds = 200;
    static readonly string[] PinPaths = ["/usr/bin/taskset", "/bin/taskset"];

    /// <summary>`case=… alone_ms=… busy_ms=… slowdown=…` and the same of the peer's form that is fastest alone.</summary>
    public static string Measure(Case one, PerfOptions options, Peer? peer)
    {
        PeerForm? form = peer is null ? null : Comparison.Fitting(one, options)
            .MinBy(f => ChildProcess.Start(Peer.Start(f, options.Threads)) is { } child ? Once(child, options.Seconds / Rounds) : double.PositiveInfinity);
        using var ours = ChildProcess.Ours(one, options.Threads);
        using var theirs = form is null ? null : ChildProcess.Start(Peer.Start(form, options.Threads));
        ChildProcess[] sides = theirs is null ? [ours] : [ours, theirs];
        var alone = sides.Select(_ => new List<Sample>()).ToArray();
        var busy = sides.Select(_ => new List<Sample>()).ToArray();
        for (int round = 0; round < Rounds; round++)
        {
            Take(alone);
            using var spinning = Start();
            Thread.Sleep(SettleMilliseconds);
            Take(busy);
            spinning.Kill(entireProcessTree: true);
            spinning.WaitForExit();
        }
        return $"case={one.Name} {Text("", 0)}" + (theirs is null ? "" : $" peer={form!.Name} {Text("peer_", 1)}");

        void Take(List<Sample>[] into)
        {
            for (int side = 0; side < sides.Length; side++) into[side].Add(sides[side].Measure(options.Seconds / Rounds));
        }

        string Text(string prefix, int side)
        {
            double aloneMs = Sample.Join(alone[side]).At(0.5), busyMs = Sample.Join(busy[side]).At(0.5);
            return string.Create(CultureInfo.InvariantCulture, $"{prefix}alone_ms={aloneMs:0.000} {prefix}busy_ms={busyMs:0.000} {prefix}slowdown={busyMs / aloneMs:0.00}");
        }
    }

    static double Once(ChildProcess child, double seconds)
    {
        using (child) return Sample.Join([child.Measure(seconds)]).At(0.5);
    }

    /// Bound to the first core where the system has taskset.
    static Process Start()
    {
        var start = ChildProcess.Self(Verb);
        var pin = PinPaths.FirstOrDefault(File.Exists);
        if (pin is not null) start = new(pin, ["-c", "0", start.FileName, .. start.ArgumentList]);
        start.RedirectStandardInput = true;
        return Process.Start(start)!;
    }

    /// <summary>The neighbour itself: busy until it is killed, or until the process that started it is gone.</summary>
    public static int Spin()
    {
        var parent = new Thread(() =>
        {
            Console.In.ReadToEnd();
            Environment.Exit(0);
        }) { IsBackground = true };
        parent.Start();
        for (ulong n = 1; ; n++) GC.KeepAlive(n);
    }
}
