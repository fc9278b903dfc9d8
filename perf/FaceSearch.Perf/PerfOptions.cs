using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>What to measure and how long. The peer is a script that takes `kind key=value …` and prints `wall_ms=<t>`.</summary>
sealed record PerfOptions(string Case, int Threads, double Seconds, string? Peer, string Results)
{
    const string Usage = """
        ./build.sh perf <case>|all|--list [--threads 1] [--seconds 3] [--peer run.sh] [--results perf/results]
        Measures ours and, with --peer, the peer in turn in the same minute; appends a row to <results>/<machine>.csv.
        """;

    public static PerfOptions? Parse(string[] args)
    {
        if (args is ["--list"])
        {
            foreach (var c in Cases.All) Console.WriteLine($"{c.Name,-12} {c.Help}");
            return null;
        }
        string? Value(string name) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : null;
        double Number(string name, double otherwise) => Value(name) is { } text ? double.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        if (args.Length == 0 || args[0] != "all" && Cases.All.All(c => c.Name != args[0]))
        {
            Console.Error.WriteLine(Usage);
            return null;
        }
        return new(args[0], (int)Number("--threads", 1), Number("--seconds", 3), Value("--peer"), Value("--results") ?? Path.Combine("perf", "results"));
    }
}
