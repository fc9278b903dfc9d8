using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// Spoils labels at stated rates and keeps the truth: identities split in two labels, identities merged under one
/// label, images that carry the label of another identity (uniform over the others). Drawn from the seed alone.
/// </summary>
public static class LabelNoise
{
    /// <summary>Rates are shares: of the identities split, of the identities merged with another, of the images flipped.</summary>
    public static FaceSet Inject(FaceSet faces, double flips, double splits, double merges, int seed)
    {
        if (flips == 0 && splits == 0 && merges == 0) return faces;
        var truth = faces.TrueLabels ?? faces.Labels;
        var labels = (int[])faces.Labels.Clone();
        var names = faces.IdentityNames.ToList();
        var owners = (faces.Owners ?? Enumerable.Range(0, faces.Identities).ToArray()).ToList();

        var order = Noise.Permutation(faces.Identities, (ulong)seed, Purpose.Split.Of());
        int split = (int)Math.Round(splits * order.Length);
        int merged = Math.Min((int)Math.Round(merges * order.Length), (order.Length - split) / 2);
        foreach (int identity in order.Take(split)) Split(identity, labels, names, owners, seed);
        for (int k = 0; k < merged; k++)
        {
            int into = order[split + 2 * k], from = order[split + 2 * k + 1];
            for (int i = 0; i < labels.Length; i++) if (labels[i] == from) labels[i] = into;
        }
        var (used, contiguous) = FaceSet.Contiguous(labels, names.Count);
        Flip(contiguous, used.Length, flips, seed);
        // A flip may have taken the last image of a label.
        var (left, final) = FaceSet.Contiguous(contiguous, used.Length);
        return new()
        {
            Side = faces.Side,
            Images = faces.Images,
            Sources = faces.Sources,
            Labels = final,
            IdentityNames = left.Select(k => names[used[k]]).ToArray(),
            Owners = left.Select(k => owners[used[k]]).ToArray(),
            TrueLabels = truth,
            Skipped = faces.Skipped,
        };
    }

    /// Half of the images, drawn, go to a new label with the same owner.
    static void Split(int identity, int[] labels, List<string> names, List<int> owners, int seed)
    {
        var rows = Enumerable.Range(0, labels.Length).Where(i => labels[i] == identity).ToArray();
        if (rows.Length < 2) return;
        var order = Noise.Permutation(rows.Length, (ulong)seed, Purpose.SplitImage.Of(identity));
        foreach (int k in order.Take(rows.Length / 2)) labels[rows[k]] = names.Count;
        names.Add(names[identity] + "_split");
        owners.Add(owners[identity]);
    }

    static void Flip(int[] labels, int identities, double share, int seed)
    {
        if (identities < 2) return;
        var order = Noise.Permutation(labels.Length, (ulong)seed, Purpose.Flip.Of());
        foreach (int i in order.Take((int)Math.Round(share * labels.Length)))
        {
            int other = Noise.Below(identities - 1, (ulong)seed, Purpose.FlipTarget.Of(), (ulong)i);
            labels[i] = other < labels[i] ? other : other + 1;
        }
    }
}
