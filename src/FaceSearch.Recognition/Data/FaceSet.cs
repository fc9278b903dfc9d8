using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace FaceSearch.Recognition.Data;

/// <summary>An input that was left out, and why. The path may carry a line: `pairs.txt:12`.</summary>
public sealed record Skip(string Path, string Reason);

/// <summary>How far a loading has come.</summary>
public readonly record struct LoadProgress(string What, int Done, int Total);

/// <summary>
/// Faces in memory, 8 bits a channel. Each image is an array of its own, so that a subset shares them
/// and no set is limited to 2 GiB.
/// </summary>
public sealed class FaceSet
{
    string? hash;

    /// <summary>Side of the stored images in pixels: the network's input and the margin on both sides.</summary>
    public required int Side { get; init; }
    /// <summary>[Count] images of Side × Side × 3 bytes, RGB, row by row. Not to be changed.</summary>
    public required byte[][] Images { get; init; }
    /// <summary>[Count], each in 0..Identities-1; every identity has at least one image.</summary>
    public required int[] Labels { get; init; }
    /// <summary>[Identities].</summary>
    public required string[] IdentityNames { get; init; }
    /// <summary>[Count] path below the folder, with '/', or the name of a generated image.</summary>
    public required string[] Sources { get; init; }
    /// <summary>[Count] the true identity of each image where it is known (generated or flipped on purpose).</summary>
    public int[]? TrueLabels { get; init; }
    /// <summary>[Identities] the true identity to which each label rightly belongs, where it is known.</summary>
    public int[]? Owners { get; init; }
    public IReadOnlyList<Skip> Skipped { get; init; } = [];

    public int Count => Images.Length;
    public int Identities => IdentityNames.Length;

    /// <summary>SHA-256 over side, labels and pixels in hexadecimal digits.</summary>
    public string ContentHash => hash ??= ComputeHash();

    /// <summary>
    /// The images of the rows <paramref name="keep"/>, sharing their pixels. Without new labels the identities that
    /// are left are renumbered in their old order; with them, <paramref name="names"/> tells the new identities.
    /// </summary>
    public FaceSet Subset(int[] keep, int[]? labels = null, string[]? names = null, int[]? owners = null)
    {
        if (labels is null)
        {
            var (used, renumbered) = Contiguous(keep.Select(i => Labels[i]).ToArray(), Identities);
            labels = renumbered;
            names = used.Select(k => IdentityNames[k]).ToArray();
            owners = Owners is null ? null : used.Select(k => Owners[k]).ToArray();
        }
        return new()
        {
            Side = Side,
            Images = Array.ConvertAll(keep, i => Images[i]),
            Sources = Array.ConvertAll(keep, i => Sources[i]),
            TrueLabels = TrueLabels is null ? null : Array.ConvertAll(keep, i => TrueLabels[i]),
            Labels = labels,
            IdentityNames = names ?? throw new ArgumentNullException(nameof(names)),
            Owners = owners,
            Skipped = Skipped,
        };
    }

    /// <summary>The same faces with another list of what was left out.</summary>
    internal FaceSet With(IReadOnlyList<Skip> skipped) => new()
    {
        Side = Side,
        Images = Images,
        Labels = Labels,
        IdentityNames = IdentityNames,
        Sources = Sources,
        TrueLabels = TrueLabels,
        Owners = Owners,
        Skipped = skipped,
    };

    /// <summary>The labels in use, ascending, and the same labels renumbered 0..used-1.</summary>
    internal static (int[] Used, int[] Labels) Contiguous(int[] labels, int identities)
    {
        var present = new bool[identities];
        foreach (int label in labels) present[label] = true;
        var used = Enumerable.Range(0, identities).Where(k => present[k]).ToArray();
        var renumbered = new int[identities];
        for (int k = 0; k < used.Length; k++) renumbered[used[k]] = k;
        return (used, Array.ConvertAll(labels, label => renumbered[label]));
    }

    string ComputeHash()
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Encoding.UTF8.GetBytes($"faces {Side} {Count}\n"));
        sha.AppendData(MemoryMarshal.AsBytes<int>(Labels));
        foreach (var image in Images) sha.AppendData(image);
        return Convert.ToHexStringLower(sha.GetHashAndReset());
    }
}

/// <summary>Two rows of a <see cref="FaceSet"/>; fold 1, 2, … of the list, 0 where there are no folds.</summary>
public readonly record struct Pair(int A, int B, bool Same, int Fold);

/// <summary>Faces and the pairs of them to verify.</summary>
public sealed record PairSet(FaceSet Faces, Pair[] Pairs);
