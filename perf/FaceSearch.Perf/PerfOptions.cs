using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>What was asked for on the command line.</summary>
/// <param name="Seconds">For each side of a case, with one thread on each of two cores; warm-up not counted.</param>
sealed record PerfOptions(IReadOnlyList<Case> Cases)
{
    public const string Usage = """
        ./build.sh perf <case>|all [options]   time cases against TorchSharp in turn; appends rows to perf/results/<machine>.csv
        ./build.sh perf --list                 the cases
        ./build.sh perf --table                perf/results as Markdown
        ./build.sh perf micro [filter]         single ops with BenchmarkDotNet
          --threads n      threads of both sides (1)
          --seconds s      for each side of a case, with one thread on each of two cores (4)
          --neighbour      time each case alone and beside a busy process on one core; writes no row
          --no-peer        ours alone
          --skip-usual     leave the peer's usual form out (it needs 19 GB for a million identities)
          --results path   folder of the rows (perf/results)
        """;

    public int Threads { get; init; } = 1;
    public double Seconds { get; init; } = 4;
    public string Results { get; init; } = Path.Combine("perf", "results");
    public bool Neighbour { get; init; }
    public bool Peer { get; init; } = true;
    public bool SkipUsual { get; init; }
    public bool Lists { get; init; }
    public bool Table { get; init; }

    /// <summary>The forms of the peer that were asked for.</summary>
    public PeerForm[] Forms(Case one) => SkipUsual ? one.Peer[1..] : one.Peer;

    /// <summary>Null and why where the words make no sense.</summary>
    public static PerfOptions? Parse(string[] words, out string complaint)
    {
        var options = new PerfOptions([]);
        complaint = "";
        for (int i = 0; i < words.Length; i++)
        {
            string word = words[i], value = i + 1 < words.Length ? words[i + 1] : "";
            PerfOptions? next = word switch
            {
                "--list" => options with { Lists = true },
                "--table" => options with { Table = true },
                "--neighbour" => options with { Neighbour = true },
                "--no-peer" => options with { Peer = false },
                "--skip-usual" => options with { SkipUsual = true },
                "--threads" => int.TryParse(value, out int threads) && threads > 0 ? options with { Threads = threads } : null,
                "--seconds" => double.TryParse(value, CultureInfo.InvariantCulture, out double seconds) && seconds > 0 ? options with { Seconds = seconds } : null,
                "--results" => value.Length > 0 ? options with { Results = value } : null,
                "all" => options with { Cases = Perf.Cases.All },
                _ => Perf.Cases.Find(word) is { } one ? options with { Cases = [.. options.Cases, one] } : null,
            };
            if (next is null)
            {
                complaint = Complaint(word, value);
                return null;
            }
            options = next;
            if (word is "--threads" or "--seconds" or "--results") i++;
        }
        if (options.Cases.Count > 0 || options.Lists || options.Table) return options;
        complaint = "which case?";
        return null;
    }

    static string Complaint(string word, string value) => word switch
    {
        "--threads" or "--seconds" or "--results" => $"{word}: '{value}' is no value for it",
        ['-', ..] => $"unknown option '{word}'",
        _ => $"unknown case '{word}'; ./build.sh perf --list names them",
    };
}
