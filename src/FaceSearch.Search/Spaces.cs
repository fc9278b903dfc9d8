using System.Globalization;
using FaceSearch.Recognition;

namespace FaceSearch.Search;

/// <summary>The spaces that come with the program.</summary>
public static class Spaces
{
    /// <summary>
    /// Nine decisions with the sizes read off the search logs of Zhang et al. (ECCV 2022): 13·7·8·8·8 for the loss,
    /// 14·14 for cleaning, 10·10 for the network; target 350·2²⁰ multiply-accumulates. The loss grids hold the
    /// published best (1.15, 0.22, 0, 40, 48); the grids of cleaning and network are ours.
    /// </summary>
    public static Space Paper { get; } = new("paper",
        [
            Choose("Head.M2", Grid(0.10, 0.04, 13)),
            Choose("Head.M1", Grid(1.00, 0.05, 7)),
            Choose("Head.M3", Grid(0, 0.05, 8)),
            Choose("Head.TrueScale", Grid(8, 8, 8)),
            Choose("Head.FalseScale", Grid(8, 8, 8)),
            Choose("Clean.DropBelow", [-1, .. Grid(0.05, 0.05, 13)]),
            Choose("Clean.MergeAbove", [2, .. Grid(0.40, 0.04, 13)]),
            Choose("Net.Width", Grid(0.6, 0.1, 10)),
            Choose("Net.Depth", Grid(0.6, 0.1, 10)),
        ],
        [new("Net.Kind", "mobilenetv2"), new("Net.Embedding", "256"), new("Data.Size", "112")],
        350 * 1.048576);

    /// <summary>
    /// Small faces and small networks: trials of a minute on a processor core. The two scales are one decision: most
    /// pairs of unequal ones train badly, and forty trials would be spent on finding that out.
    /// </summary>
    public static Space Mini { get; } = new("mini",
        [
            new("Scales", [Scales(8, 8), Scales(16, 16), Scales(24, 24), Scales(24, 32), Scales(32, 24), Scales(32, 32), Scales(40, 48), Scales(48, 48), Scales(64, 48), Scales(64, 64)]),
            Choose("Head.M1", [1, 1.1, 1.2]),
            Choose("Head.M2", [0, 0.1, 0.2, 0.35, 0.5]),
            Choose("Head.M3", [0, 0.1, 0.2]),
            Choose("Clean.DropBelow", [-1, 0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35]),
            Choose("Clean.MergeAbove", [2, 0.9, 0.8, 0.7]),
            Choose("Clean.MinImages", [1, 2, 3, 4]),
            Choose("Net.Width", [0.5, 0.75, 1, 1.5]),
            Choose("Net.Depth", [0.5, 1, 1.5, 2]),
        ],
        [], 0);

    /// <summary>A space by name (mini, paper), or read from a YAML file.</summary>
    public static Space Find(string nameOrFile) => nameOrFile.ToLowerInvariant() switch
    {
        "mini" => Mini,
        "paper" => Paper,
        _ when File.Exists(nameOrFile) => SpaceFile.Read(nameOrFile),
        _ => throw new InputException($"no search space '{nameOrFile}': expected mini, paper, or a YAML file with decisions (path: [options])"),
    };

    static Option Scales(int own, int others) => new($"{own}/{others}", [new("Head.TrueScale", $"{own}"), new("Head.FalseScale", $"{others}")]);

    static Decision Choose(string path, double[] values) => Choose(path, [.. values.Select(v => v.ToString(CultureInfo.InvariantCulture))]);

    internal static Decision Choose(string path, string[] values) => new(path, [.. values.Select(v => new Option(v, [new(path, v)]))]);

    /// Decimals, so that an option reads 0.22 and not 0.22000000000000003.
    static double[] Grid(double first, double step, int count) =>
        [.. Enumerable.Range(0, count).Select(i => (double)((decimal)first + i * (decimal)step))];
}
