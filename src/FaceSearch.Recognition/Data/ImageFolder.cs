namespace FaceSearch.Recognition.Data;

/// <summary>
/// A folder with one sub-folder of photographs for each identity. JPEG, PNG and PGM are read (by content, chosen by
/// name: .jpg .jpeg .png .pgm); other files are ignored. Order is ordinal, so a folder reads alike on every machine.
/// </summary>
public static class ImageFolder
{
    static readonly string[] Extensions = [".jpg", ".jpeg", ".png", ".pgm"];

    /// <summary>
    /// Reads the identities that <paramref name="wanted"/> accepts. What cannot be used is left out and listed in
    /// <see cref="FaceSet.Skipped"/>; a missing folder or no usable photograph at all is an <see cref="InputException"/>.
    /// </summary>
    public static FaceSet Load(string folder, CropBox? crop, int size, int margin,
        Func<string, bool>? wanted = null, IProgress<LoadProgress>? progress = null, CancellationToken stop = default)
    {
        var skipped = new List<Skip>();
        var files = List(folder, wanted ?? (_ => true), skipped);
        var decoded = new DecodeCache(folder, crop, size, margin).Get(files, progress, stop);

        var rows = Enumerable.Range(0, files.Length).Where(i => decoded[i].Image is not null).ToArray();
        skipped.AddRange(decoded.Zip(files).Where(p => p.First.Image is null).Select(p => new Skip(p.Second, p.First.Reason)));
        var names = files.Select(Identity).Distinct().ToArray();
        var used = rows.Select(i => Identity(files[i])).Distinct().ToArray();
        skipped.AddRange(names.Except(used).Select(n => new Skip(n, "identity without a usable photograph")));
        if (rows.Length == 0)
            throw new InputException($"Data.Folder: no usable photograph in '{folder}'; {Why(skipped)}. Expected one sub-folder of .jpg, .png or .pgm files for each person");
        var labels = used.Select((name, k) => (name, k)).ToDictionary(p => p.name, p => p.k);
        return new()
        {
            Side = size + 2 * margin,
            Images = Array.ConvertAll(rows, i => decoded[i].Image!),
            Sources = Array.ConvertAll(rows, i => files[i]),
            Labels = Array.ConvertAll(rows, i => labels[Identity(files[i])]),
            IdentityNames = used,
            Skipped = skipped,
        };
    }

    static string Identity(string file) => file[..file.IndexOf('/')];

    static string Why(List<Skip> skipped) =>
        skipped.Count == 0 ? "it has no sub-folder that is wanted" : $"{skipped.Count} left out, the first: {skipped[0].Path}: {skipped[0].Reason}";

    /// Paths below the folder as identity/file, ordinal order.
    static string[] List(string folder, Func<string, bool> wanted, List<Skip> skipped)
    {
        if (!Directory.Exists(folder))
            throw new InputException($"Data.Folder: there is no folder '{folder}'; expected a folder with one sub-folder of photographs for each person");
        var files = new List<string>();
        foreach (var name in Names(folder, Directory.GetDirectories).Where(wanted))
        {
            try
            {
                var photos = Names(Path.Combine(folder, name), Directory.GetFiles)
                    .Where(f => Extensions.Contains(Path.GetExtension(f), StringComparer.OrdinalIgnoreCase)).ToArray();
                if (photos.Length == 0) skipped.Add(new(name, "identity folder without photographs"));
                files.AddRange(photos.Select(f => $"{name}/{f}"));
            }
            catch (UnauthorizedAccessException e)
            {
                skipped.Add(new(name, e.Message));
            }
        }
        return [.. files];
    }

    static IEnumerable<string> Names(string folder, Func<string, string[]> list) =>
        list(folder).Select(p => Path.GetFileName(p)!).Order(StringComparer.Ordinal);

    /// <summary>One file to pixels, or the reason why not.</summary>
    internal static (byte[]? Image, string Reason) Decode(string path, CropBox? crop, int size, int margin)
    {
        try
        {
            var photo = Photograph.Decode(File.ReadAllBytes(path));
            var box = crop ?? CropBox.Centred(photo.Width, photo.Height);
            return box.Touches(photo.Width, photo.Height)
                ? (Resample.Crop(photo, box, size, margin), "")
                : (null, $"the crop box {box.X},{box.Y},{box.Width},{box.Height} lies outside the photograph of {photo.Width}×{photo.Height} pixels (Data.Crop)");
        }
        catch (Exception e) when (e is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            return (null, e is InvalidDataException ? e.Message : $"cannot be read ({e.GetType().Name})");
        }
    }
}
