using System.Globalization;

namespace FaceSearch.Recognition.Data;

/// <summary>A line of a pairs list: image numbers count from 1.</summary>
public sealed record NamedPair(string NameA, int NumberA, string NameB, int NumberB, int Fold, int Line)
{
    public bool Same => NameA == NameB;
    public string KeyA => Key(NameA, NumberA);
    public string KeyB => Key(NameB, NumberB);

    static string Key(string name, int number) => string.Create(CultureInfo.InvariantCulture, $"{name}/{name}_{number:D4}");
}

/// <summary>
/// Pairs in LFW's format: a header `folds⇥n` (or `n` for one fold), then for each fold n matched lines `name⇥i⇥j` and
/// n mismatched lines `name1⇥i⇥name2⇥j`. Image i of a name is `name/name_%04d` with any extension.
/// </summary>
public static class PairList
{
    /// <summary>The pairs of one fold, counted from 1, or of all (0).</summary>
    public static List<NamedPair> Read(string path, int fold = 0)
    {
        var lines = new TextList(path, "pairs list");
        var header = lines.Next("a header `folds<TAB>pairs` or `pairs`");
        var numbers = Array.ConvertAll(header, f => lines.Number(f, "a header `folds<TAB>pairs` or `pairs`"));
        if (numbers.Length > 2) throw lines.Error("a header `folds<TAB>pairs` or `pairs`");
        int folds = numbers.Length == 2 ? numbers[0] : 1, count = numbers[^1];
        if (fold > folds) throw new InputException($"Data.PairsFold: {fold}, but '{path}' has {folds} folds; choose 0 (all) to {folds}");
        var pairs = new List<NamedPair>();
        for (int k = 1; k <= folds; k++)
            for (int i = 0; i < 2 * count; i++)
            {
                var pair = Parse(lines, k, matched: i < count, $"pair {i + 1} of {2 * count} in fold {k}");
                if (fold == 0 || fold == k) pairs.Add(pair);
            }
        if (lines.More) throw lines.Error($"the end of the list, as its header promises {folds} × {2 * count} pairs");
        return pairs;
    }

    static NamedPair Parse(TextList lines, int fold, bool matched, string which)
    {
        var expected = $"{(matched ? "a matched pair `name<TAB>i<TAB>j`" : "a mismatched pair `name1<TAB>i<TAB>name2<TAB>j`")}, {which}";
        var f = lines.Next(expected);
        if (f.Length != (matched ? 3 : 4) || !matched && f[0] == f[2]) throw lines.Error(expected);
        return new(f[0], lines.Number(f[1], expected), matched ? f[0] : f[2], lines.Number(f[^1], expected), fold, lines.Line);
    }

    /// <summary>
    /// The pairs whose two images are in <paramref name="faces"/>, over the subset of those images. What is absent is
    /// counted and listed in the subset's <see cref="FaceSet.Skipped"/>; if nothing is left, an <see cref="InputException"/>.
    /// </summary>
    public static PairSet Resolve(IReadOnlyList<NamedPair> pairs, FaceSet faces, string path)
    {
        var rowOf = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int i = 0; i < faces.Count; i++) rowOf.TryAdd(Path.ChangeExtension(faces.Sources[i], null), i);
        var skipped = new List<Skip>();
        var found = new List<NamedPair>();
        foreach (var pair in pairs)
        {
            var missing = new[] { pair.KeyA, pair.KeyB }.Where(k => !rowOf.ContainsKey(k)).ToArray();
            if (missing.Length == 0) found.Add(pair);
            else skipped.Add(new($"{Path.GetFileName(path)}:{pair.Line}", $"no usable photograph {string.Join(" and ", missing)}"));
        }
        if (!found.Any(p => p.Same) || !found.Any(p => !p.Same))
            throw new InputException($"{path}: of {pairs.Count} pairs {found.Count} are present in Data.Folder, and both kinds (same person, different people) are needed" +
                (skipped.Count > 0 ? $"; the first absent: {skipped[0].Path}: {skipped[0].Reason}" : "") + ". Expected files <name>/<name>_0001.jpg");
        var keep = found.SelectMany(p => new[] { rowOf[p.KeyA], rowOf[p.KeyB] }).Distinct().Order().ToArray();
        var newRow = keep.Select((row, i) => (row, i)).ToDictionary(p => p.row, p => p.i);
        var subset = faces.Subset(keep).With(skipped);
        return new(subset, [.. found.Select(p => new Pair(newRow[rowOf[p.KeyA]], newRow[rowOf[p.KeyB]], p.Same, p.Fold))]);
    }

    /// <summary>Writes pairs of one fold in LFW's format; the two kinds must be equally many.</summary>
    public static void Write(string path, IReadOnlyList<NamedPair> pairs)
    {
        var lines = new List<string> { $"{pairs.Count(p => p.Same)}" };
        lines.AddRange(pairs.Where(p => p.Same).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.NameA}\t{p.NumberA}\t{p.NumberB}")));
        lines.AddRange(pairs.Where(p => !p.Same).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.NameA}\t{p.NumberA}\t{p.NameB}\t{p.NumberB}")));
        File.WriteAllLines(path, lines);
    }
}
