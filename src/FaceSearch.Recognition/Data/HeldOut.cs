using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>Identities kept out of training, and pairs drawn from them, where no list is given.</summary>
static class HeldOut
{
    /// <summary>
    /// Draws the given share of the identities that have two images or more, at least two of them, among
    /// <paramref name="candidates"/>: those with one image can show no pair of the same person.
    /// </summary>
    public static int[] Draw(FaceSet faces, IEnumerable<int> candidates, double share, int seed, long stream, string what)
    {
        var images = new int[faces.Identities];
        foreach (int label in faces.Labels) images[label]++;
        var able = candidates.Where(k => images[k] >= 2).ToArray();
        int count = Math.Max(2, (int)Math.Round(share * able.Length));
        if (able.Length < count + 1)
            throw new InputException($"Data.HoldOut: {able.Length} identities with two images or more are left to hold out {count} for {what} and train on the rest; " +
                "add people, or give Data.Pairs and Data.FinalPairs");
        var order = Noise.Permutation(able.Length, (ulong)seed, Purpose.HoldOut.Of(stream));
        return [.. order.Take(count).Select(i => able[i]).Order()];
    }

    /// <summary>
    /// Draws up to count / 2 pairs of the same person (identity first, then two of its images) and as many of
    /// different people, in turn; no pair twice. Fold 0.
    /// </summary>
    public static PairSet Pairs(FaceSet faces, int[] identities, int count, int seed, long stream)
    {
        var held = new HashSet<int>(identities);
        var people = faces.Subset([.. Enumerable.Range(0, faces.Count).Where(i => held.Contains(faces.Labels[i]))]);
        var rows = Enumerable.Range(0, people.Count).GroupBy(i => people.Labels[i]).OrderBy(g => g.Key).Select(g => g.ToArray()).ToArray();
        var draws = new Draws(seed, Purpose.PairOf.Of(stream));
        var same = Distinct(count / 2, () =>
        {
            var own = rows[draws.Below(rows.Length)];
            return (own[draws.Below(own.Length)], own[draws.Below(own.Length)]);
        });
        var different = Distinct(same.Count, () =>
            (rows[draws.Below(rows.Length)], rows[draws.Below(rows.Length)]) is var (a, b) && a == b ? (0, 0)
                : (a[draws.Below(a.Length)], b[draws.Below(b.Length)]));
        int pairs = Math.Min(same.Count, different.Count);
        var all = Enumerable.Range(0, pairs).SelectMany(i => new[]
        {
            new Pair(same[i].A, same[i].B, true, 0), new Pair(different[i].A, different[i].B, false, 0),
        });
        return new(people, [.. all]);
    }

    /// Draws until there are enough, or until twenty times as many draws show that there are no more.
    static List<(int A, int B)> Distinct(int count, Func<(int A, int B)> draw)
    {
        var seen = new HashSet<(int, int)>();
        var pairs = new List<(int, int)>();
        for (int t = 0; t < 20 * count && pairs.Count < count; t++)
        {
            var (a, b) = draw();
            if (a != b && seen.Add((Math.Min(a, b), Math.Max(a, b)))) pairs.Add((a, b));
        }
        return pairs;
    }
}
