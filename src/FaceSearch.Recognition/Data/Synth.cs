using System.Globalization;
using FaceSearch.Tensors;
using SkiaSharp;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// Generated faces: the identity fixes shape, colours and hair, the photograph pose, light, expression, blur, noise,
/// glasses, background and what stands in the way. A pure function of the seed.
/// </summary>
public static class Synth
{
    /// <summary>Clean faces of <paramref name="identities"/> people, about <paramref name="images"/> of each (± a sixth), truth = label.</summary>
    public static FaceSet Generate(int identities, int images, int size, int margin, int seed,
        IProgress<LoadProgress>? progress = null, CancellationToken stop = default)
    {
        int spread = images / 6;
        var labels = Enumerable.Range(0, identities).SelectMany(k =>
            Enumerable.Repeat(k, images - spread + Noise.Below(2 * spread + 1, (ulong)seed, Purpose.Count.Of(), (ulong)k))).ToArray();
        var people = Enumerable.Range(0, identities).Select(k => new SynthPerson(seed, k)).ToArray();
        var names = Enumerable.Range(0, identities).Select(k => $"synth_{k:D6}").ToArray();
        var pictures = new byte[labels.Length][];
        var sources = new string[labels.Length];
        for (int i = 0, n = 1; i < labels.Length; i++, n++)
        {
            if (i > 0 && labels[i] != labels[i - 1]) n = 1;
            sources[i] = string.Create(CultureInfo.InvariantCulture, $"{names[labels[i]]}/{names[labels[i]]}_{n:D4}.png");
        }
        int done = 0;
        Parallel.For(0, labels.Length, new ParallelOptions { CancellationToken = stop }, i =>
        {
            var who = people[labels[i]];
            pictures[i] = new SynthPainter(who, new SynthShot(seed, who, i), size, margin).Paint(seed, i);
            if (Interlocked.Increment(ref done) is var n && (n % 1000 == 0 || n == labels.Length)) progress?.Report(new("drawing", n, labels.Length));
        });
        return new()
        {
            Side = size + 2 * margin,
            Images = pictures,
            Labels = labels,
            IdentityNames = names,
            Sources = sources,
            TrueLabels = labels,
            Owners = Enumerable.Range(0, identities).ToArray(),
        };
    }

    /// <summary>Writes a PNG with the first images of the first identities, one identity a row.</summary>
    public static void ContactSheet(FaceSet faces, string path, int rows = 10, int columns = 12)
    {
        int side = faces.Side;
        var sheet = new byte[rows * side * columns * side * 3];
        var used = new int[rows];
        for (int i = 0; i < faces.Count; i++)
        {
            int row = faces.Labels[i];
            if (row >= rows || used[row] >= columns) continue;
            int left = used[row]++ * side;
            for (int y = 0; y < side; y++)
                faces.Images[i].AsSpan(y * side * 3, side * 3).CopyTo(sheet.AsSpan(((row * side + y) * columns * side + left) * 3));
        }
        WritePng(sheet, columns * side, rows * side, path);
    }

    /// <summary>
    /// Writes PNGs in one folder for each label, numbered from 1 as pairs lists expect, and truth.csv (path, label, true identity).
    /// </summary>
    public static void Export(FaceSet faces, string folder)
    {
        var seen = new int[faces.Identities];
        var lines = new List<string> { "path,label,true_identity" };
        for (int i = 0; i < faces.Count; i++)
        {
            int label = faces.Labels[i];
            var name = faces.IdentityNames[label];
            Directory.CreateDirectory(Path.Combine(folder, name));
            var file = string.Create(CultureInfo.InvariantCulture, $"{name}/{name}_{++seen[label]:D4}.png");
            WritePng(faces.Images[i], faces.Side, faces.Side, Path.Combine(folder, file));
            lines.Add($"{file},{name},{(faces.TrueLabels ?? faces.Labels)[i]}");
        }
        File.WriteAllLines(Path.Combine(folder, "truth.csv"), lines);
    }

    static void WritePng(byte[] rgb, int width, int height, string path)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var pixels = bitmap.GetPixelSpan();
        for (int i = 0; i < width * height; i++)
        {
            rgb.AsSpan(3 * i, 3).CopyTo(pixels[(4 * i)..]);
            pixels[4 * i + 3] = 255;
        }
        using var file = File.Create(path);
        bitmap.Encode(file, SKEncodedImageFormat.Png, 100);
    }
}
