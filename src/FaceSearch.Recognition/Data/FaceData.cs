namespace FaceSearch.Recognition.Data;

/// <summary>
/// What a run works on. Nobody in <see cref="Choose"/> or <see cref="Final"/> is in <see cref="Train"/> (but see refit below); people
/// drawn for the one are not in the other.
/// </summary>
/// <param name="Train">what may be cleaned and trained on</param>
/// <param name="Choose">pairs by which trials are compared</param>
/// <param name="Final">pairs that are looked at once, at the end</param>
/// <param name="Skipped">everything that was left out, and why</param>
public sealed record FaceData(FaceSet Train, PairSet Choose, PairSet Final, IReadOnlyList<Skip> Skipped)
{
    /// <summary>How much of everything there is, in a line.</summary>
    public string Summary => $"{Train.Count} images of {Train.Identities} identities to train on, {Choose.Pairs.Length} pairs to choose by, " +
        $"{Final.Pairs.Length} kept for the end, {Skipped.Count} inputs skipped{(Skipped.Count > 0 ? " ('facesearch data inspect' tells which)" : "")}";

    /// <summary>Reads Data.Folder, or draws faces where it is empty, and divides the people as Data says.</summary>
    /// <param name="refit">all photographs of the people of <see cref="Choose"/> are in <see cref="Train"/> too: for what is trained
    /// when nothing is left to choose. Nobody of <see cref="Final"/> is, ever.</param>
    public static FaceData Load(Settings settings, IProgress<LoadProgress>? progress = null, CancellationToken stop = default, bool refit = false)
    {
        var data = settings.Data;
        return data.Folder.Length == 0 ? Generated(settings, refit, progress, stop) : Photographs(settings, refit, progress, stop);
    }

    static FaceData Generated(Settings settings, bool refit, IProgress<LoadProgress>? progress, CancellationToken stop)
    {
        var data = settings.Data;
        var faces = Synth.Generate(data.SynthIdentities, data.SynthImages, data.Size, data.Margin, settings.Seed, progress, stop);
        var divided = Divide(settings, faces, Enumerable.Range(0, faces.Identities), null, null, refit);
        return divided with { Train = LabelNoise.Inject(divided.Train, data.SynthFlips, data.SynthSplits, data.SynthMerges, settings.Seed) };
    }

    static FaceData Photographs(Settings settings, bool refit, IProgress<LoadProgress>? progress, CancellationToken stop)
    {
        var data = settings.Data;
        if (data.PeopleSets.Length > 0 && data.People.Length == 0)
            throw new InputException($"Data.PeopleSets: '{data.PeopleSets}' chooses from a people list, but Data.People is empty");
        var people = data.People.Length > 0 ? PeopleList.Read(data.People, data.PeopleSets) : null;
        var choose = data.Pairs.Length > 0 ? PairList.Read(data.Pairs, data.PairsFold) : null;
        var final = data.FinalPairs.Length > 0 ? PairList.Read(data.FinalPairs) : null;
        var (choosing, kept) = (Names(choose), Names(final));
        var chosen = people?.ToHashSet(StringComparer.Ordinal);
        bool IsTrained(string name) => !kept.Contains(name) && (choosing.Contains(name) ? refit : chosen?.Contains(name) != false);

        var faces = ImageFolder.Load(data.Folder, CropBox.Parse(data.Crop), data.Size, data.Margin,
            chosen is null ? null : name => IsTrained(name) || choosing.Contains(name) || kept.Contains(name), progress, stop);
        var candidates = Enumerable.Range(0, faces.Identities).Where(k => IsTrained(faces.IdentityNames[k]));
        var divided = Divide(settings, faces, candidates,
            choose is null ? null : PairList.Resolve(choose, faces, data.Pairs),
            final is null ? null : PairList.Resolve(final, faces, data.FinalPairs), refit);
        var present = faces.IdentityNames.ToHashSet(StringComparer.Ordinal);
        var absent = (people ?? []).Where(n => !present.Contains(n)).Select(n => new Skip(n, $"named in {Path.GetFileName(data.People)}, but without a usable photograph"));
        return divided with
        {
            Train = LabelNoise.Inject(divided.Train, data.Flips, 0, 0, settings.Seed),
            Skipped = [.. divided.Skipped, .. absent],
        };
    }

    static FaceData Divide(Settings settings, FaceSet faces, IEnumerable<int> candidates, PairSet? choose, PairSet? final, bool refit)
    {
        var (data, left) = (settings.Data, candidates.ToHashSet());
        (PairSet Pairs, int[] Held) Draw(double share, string what, long stream)
        {
            var held = HeldOut.Draw(faces, left.Order(), share, settings.Seed, stream, what);
            left.ExceptWith(held);
            return (HeldOut.Pairs(faces, held, data.HoldOutPairs, settings.Seed, stream), held);
        }
        // The second share is of what is left: the same share of all.
        double share = choose is null ? data.HoldOut / (1 - data.HoldOut) : data.HoldOut;
        int[] choosing = [];
        if (choose is null) (choose, choosing) = Draw(data.HoldOut, "choosing", 0);
        final ??= Draw(share, "the final figure", 1).Pairs;
        if (refit) left.UnionWith(choosing);
        var rows = Enumerable.Range(0, faces.Count).Where(i => left.Contains(faces.Labels[i])).ToArray();
        if (left.Count < 2)
            throw new InputException($"Data: {left.Count} identities are left to train on, at least 2 are needed; check Data.People, Data.PeopleSets and who the pairs lists name");
        var named = new[] { choose, final }.SelectMany(p => p.Faces.Skipped).Except(faces.Skipped);
        return new(faces.Subset(rows), choose, final, [.. faces.Skipped, .. named]);
    }

    static HashSet<string> Names(List<NamedPair>? pairs) => (pairs ?? []).SelectMany(p => new[] { p.NameA, p.NameB }).ToHashSet(StringComparer.Ordinal);
}
