using System.Diagnostics;
using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>What a busy process on one core does to a case: both sides alone and beside it, in turn.</summary>
static class Neighbour
{
    public const string Verb = "spin";
    const int Rounds = 3, SettleMilliseconds = 200;

    /// <summary>`case=… alone_ms=… busy_ms=… slowdown=…` and the same of the peer's form that is fastest alone.</summary>
    public static string Measure(Case one, PerfOptions options, bool peer)
    {
        PeerForm? form = !peer ? null : Comparison.Fitting(one, options.Forms(one))
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
            for (int side = 0; side < sides.Length; side++)
                into[side].Add(sides[side].Measure(options.Seconds / Rounds) ?? throw new InvalidOperationException($"a process ended while it was measured: {sides[side].Complaint}"));
        }

        string Text(string prefix, int side)
        {
            double aloneMs = Sample.Join(alone[side]).At(0.5), busyMs = Sample.Join(busy[side]).At(0.5);
            return string.Create(CultureInfo.InvariantCulture, $"{prefix}alone_ms={aloneMs:0.000} {prefix}busy_ms={busyMs:0.000} {prefix}slowdown={busyMs / aloneMs:0.00}");
        }
    }

    static double Once(ChildProcess child, double seconds)
    {
        using (child) return child.Measure(seconds) is { } sample ? Sample.Join([sample]).At(0.5) : double.PositiveInfinity;
    }

    /// On the first core that we may use, where the system lets us choose.
    static Process Start()
    {
        var start = ChildProcess.Self(Verb);
        start.RedirectStandardInput = true;
        var spinning = Process.Start(start)!;
        if (Cores.Allowed is [var first, ..]) Cores.Bind(spinning, first);
        return spinning;
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
