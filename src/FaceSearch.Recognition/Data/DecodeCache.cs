using System.Security.Cryptography;
using System.Text;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// Decoded photographs, kept in the user's cache folder (FACESEARCH_CACHE, else facesearch below the local application
/// data) under a hash of the list of files, their lengths and times, crop and size. A file that is damaged or cannot
/// be written costs time, never the run: then the photographs are decoded again.
/// </summary>
sealed class DecodeCache(string folder, CropBox? crop, int size, int margin)
{
    const string Format = "facesearch decoded 1";

    public (byte[]? Image, string Reason)[] Get(string[] files, IProgress<LoadProgress>? progress, CancellationToken stop = default)
    {
        var path = PathOf(files);
        var images = Read(path, files.Length);
        if (images is not null) return images;
        images = new (byte[]?, string)[files.Length];
        int done = 0;
        Parallel.For(0, files.Length, new ParallelOptions { CancellationToken = stop }, i =>
        {
            images[i] = ImageFolder.Decode(Path.Combine(folder, files[i]), crop, size, margin);
            if (Interlocked.Increment(ref done) is var n && (n % 100 == 0 || n == files.Length)) progress?.Report(new("decoding", n, files.Length));
        });
        // What could not be read may be readable next time without a change of its date.
        if (images.All(i => i.Image is not null || !i.Reason.StartsWith("cannot be read", StringComparison.Ordinal))) Write(path, images);
        return images;
    }

    internal string PathOf(string[] files) => Path.Combine(CacheFolder.Path, Key(files) + ".faces");

    string Key(string[] files)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha.AppendData(Encoding.UTF8.GetBytes($"{Format}\n{Path.GetFullPath(folder)}\n{crop} {size} {margin}\n"));
        foreach (var file in files)
        {
            var info = new FileInfo(Path.Combine(folder, file));
            var state = info.Exists ? $"{info.Length} {info.LastWriteTimeUtc.Ticks}" : "";
            sha.AppendData(Encoding.UTF8.GetBytes($"{file}\n{state}\n"));
        }
        return Convert.ToHexStringLower(sha.GetHashAndReset())[..32];
    }

    static readonly int HashBytes = SHA256.HashSizeInBytes;

    (byte[]? Image, string Reason)[]? Read(string path, int count)
    {
        try
        {
            if (!File.Exists(path)) return null;
            using var file = File.OpenRead(path);
            var stored = new byte[HashBytes];
            file.ReadExactly(stored);
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            using var reader = new BinaryReader(file);
            var images = new (byte[]? Image, string Reason)[count];
            int bytes = (size + 2 * margin) * (size + 2 * margin) * 3;
            for (int i = 0; i < count; i++)
            {
                var reason = reader.ReadString();
                images[i] = reason.Length == 0 ? (reader.ReadBytes(bytes), "") : (null, reason);
                sha.AppendData(images[i].Image ?? Encoding.UTF8.GetBytes(reason));
            }
            return sha.GetHashAndReset().AsSpan().SequenceEqual(stored) ? images : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return null;
        }
    }

    static void Write(string path, (byte[]? Image, string Reason)[] images)
    {
        var temporary = $"{path}.{Environment.ProcessId}";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            using (var file = File.Create(temporary))
            using (var writer = new BinaryWriter(file))
            using (var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256))
            {
                writer.Write(new byte[HashBytes]);
                foreach (var (image, reason) in images)
                {
                    writer.Write(reason);
                    if (image is not null) writer.Write(image);
                    sha.AppendData(image ?? Encoding.UTF8.GetBytes(reason));
                }
                writer.Seek(0, SeekOrigin.Begin);
                writer.Write(sha.GetHashAndReset());
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            try { File.Delete(temporary); }
            catch (Exception again) when (again is IOException or UnauthorizedAccessException) { }
        }
    }
}
