namespace FaceSearch.Recognition.Data;

/// <summary>
/// What a run works on. Nobody in <see cref="Choose"/> or <see cref="Final"/> is in <see cref="Train"/>; people drawn
/// for the one are not in the other.
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
    public static FaceData Load(Settings settings, IProgress<LoadProgress>? progress = null, CancellationToken stop = default)
    {
        var data = settings.Data;
        return data.Folder.Length == 0 ? Generated(settings, progress, stop) : Photographs(settings, progress, stop);
    }

    static FaceData Generated(Settings settings, IProgress<LoadProgress>? progress, CancellationToken stop)
    {
        var data = settings.Data;
        var faces = Synth.Generate(data.SynthIdentities, data.SynthImages, data.Size, data.Margin, settings.Seed, progress, stop);
        var divided = Divide(settings, faces, Enumerable.Range(0, faces.Identities), null, null);
        return divided with { Train = LabelNoise.Inject(divided.Train, data.SynthFlips, data.SynthSplits, data.SynthMerges, settings.Seed) };
    }

    static FaceData Photographs(Settings settings, IProgress<LoadProgress>? progress, CancellationToken stop)
    {
        var data = settings.Data;
        if (data.PeopleSets.Length > 0 && data.People.Length == 0)
            throw new InputException($"Data.PeopleSets: '{data.PeopleSets}' chooses from a people list, but Data.People is empty");
        var people = data.People.Length > 0 ? PeopleList.Read(data.People, data.PeopleSets) : null;
        var choose = data.Pairs.Length > 0 ? PairList.Read(data.Pairs, data.PairsFold) : null;
        var final = data.FinalPairs.Length > 0 ? PairList.Read(data.FinalPairs) : null;
        var listed = Names(choose).Concat(Names(final)).ToHashSet(StringComparer.Ordinal);
        var chosen = people?.ToHashSet(StringComparer.Ordinal);

        var faces = ImageFolder.Load(data.Folder, CropBox.Parse(data.Crop), data.Size, data.Margin,
            chosen is null ? null : name => chosen.Contains(name) || listed.Contains(name), progress, stop);
        var candidates = Enumerable.Range(0, faces.Identities)
            .Where(k => !listed.Contains(faces.IdentityNames[k]) && chosen?.Contains(faces.IdentityNames[k]) != false);
        var divided = Divide(settings, faces, candidates,
            choose is null ? null : PairList.Resolve(choose, faces, data.Pairs),
            final is null ? null : PairList.Resolve(final, faces, data.FinalPairs));
        var present = faces.IdentityNames.ToHashSet(StringComparer.Ordinal);
        var absent = (people ?? []).Where(n => !present.Contains(n)).Select(n => new Skip(n, $"named in {Path.GetFileName(data.People)}, but without a usable photograph"));
        return divided with
        {
            Train = LabelNoise.Inject(divided.Train, data.Flips, 0, 0, settings.Seed),
            Skipped = [.. divided.Skipped, .. absent],
        };
    }

    static FaceData Divide(Settings settings, FaceSet faces, IEnumerable<int> candidates, PairSet? choose, PairSet? final)
    {
        var (data, left) = (settings.Data, candidates.ToHashSet());
        PairSet Draw(double share, string what, long stream)
        {
            var held = HeldOut.Draw(faces, left.Order(), share, settings.Seed, stream, what);
            left.ExceptWith(held);
            return HeldOut.Pairs(faces, held, data.HoldOutPairs, settings.Seed, stream);
        }
        // The second share is of what is left: the same share of all.
        double share = choose is null ? data.HoldOut / (1 - data.HoldOut) : data.HoldOut;
        choose ??= Draw(data.HoldOut, "choosing", 0);
        final ??= Draw(share, "the final figure", 1);
        var rows = Enumerable.Range(0, faces.Count).Where(i => left.Contains(faces.Labels[i])).ToArray();
        if (left.Count < 2)
            throw new InputException($"Data: {left.Count} identities are left to train on, at least 2 are needed; check Data.People, Data.PeopleSets and who the pairs lists name");
        var named = new[] { choose, final }.SelectMany(p => p.Faces.Skipped).Except(faces.Skipped);
        return new(faces.Subset(rows), choose, final, [.. faces.Skipped, .. named]);
    }

    static IEnumerable<string> Names(List<NamedPair>? pairs) => pairs?.SelectMany(p => new[] { p.NameA, p.NameB }) ?? [];
}
