using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>What a checkpoint says of itself. Faces is the content hash of the training set.</summary>
public sealed record CheckpointHeader(Settings Settings, int Step, int Identities, string Faces, double FirstLoss, double Loss)
{
    /// <summary>Name and shape of each tensor, in the order of the values.</summary>
    public TensorEntry[] Tensors { get; init; } = [];
}

public sealed record TensorEntry(string Name, int[] Shape)
{
    [JsonIgnore] public long Count => Shape.Aggregate(1L, (product, d) => checked(product * d));
}

/// <summary>
/// A training in one file: "FACESRCH", format version (int32), length of the header (int32), header (JSON), values of all
/// tensors (float32, row-major), SHA-256 of everything before. Little-endian. Written aside and renamed, so that a file
/// of that name is always a whole one. Values go between file and device piece by piece: ten million centres are more than an array holds.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    const int Version = 1;
    static ReadOnlySpan<byte> Magic => "FACESRCH"u8;
    static readonly JsonSerializerOptions Json = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    readonly string path;
    // Kept open: the very file that was checked, whatever takes its name meanwhile.
    readonly FileStream file;
    readonly Dictionary<string, (long At, long Count)> places = [];

    public CheckpointHeader Header { get; }

    internal static void Write(string path, CheckpointHeader header, Tensor[] tensors)
    {
        var entries = tensors.Select(t => new TensorEntry(t.Name, Enumerable.Range(0, t.Shape.Rank).Select(i => t.Shape[i]).ToArray()));
        var json = JsonSerializer.SerializeToUtf8Bytes(header with { Tensors = [.. entries] }, Json);
        AtomicFile.Write(path, "the checkpoint", file =>
        {
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var prefix = new byte[16];
            Magic.CopyTo(prefix);
            BinaryPrimitives.WriteInt32LittleEndian(prefix.AsSpan(8), Version);
            BinaryPrimitives.WriteInt32LittleEndian(prefix.AsSpan(12), json.Length);
            Put(prefix);
            Put(json);
            var values = PieceOf(tensors);
            foreach (var tensor in tensors)
                foreach (var (first, count) in tensor.Shape.Pieces())
                {
                    var piece = values.AsSpan(0, count);
                    tensor.Device.Read(tensor, first, piece);
                    Put(MemoryMarshal.AsBytes(piece));
                }
            file.Write(sha.GetHashAndReset());

            void Put(ReadOnlySpan<byte> bytes)
            {
                file.Write(bytes);
                sha.AppendData(bytes);
            }
        });
    }

    /// <summary>Reads and checks a file. Another version, a truncated or a changed file is refused with words. The caller disposes it.</summary>
    public static Checkpoint Read(string path)
    {
        FileStream? file = null;
        try
        {
            file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
            return new(path, file);
        }
        catch (Exception e)
        {
            file?.Dispose();
            if (e is EndOfStreamException or JsonException or OverflowException) throw Damaged(path, e);
            if (e is IOException or UnauthorizedAccessException) throw Unreadable(path, e);
            throw;
        }
    }

    Checkpoint(string path, FileStream file)
    {
        (this.path, this.file) = (path, file);
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var prefix = Take(16);
        if (!prefix.AsSpan(0, 8).SequenceEqual(Magic)) throw new InputException($"{path}: this is not a checkpoint of facesearch");
        int version = BinaryPrimitives.ReadInt32LittleEndian(prefix.AsSpan(8)), length = BinaryPrimitives.ReadInt32LittleEndian(prefix.AsSpan(12));
        if (version != Version) throw new InputException($"{path}: checkpoint of format {version}, expected {Version}; use the facesearch that wrote it, or train anew");
        if (length < 0 || length > file.Length) throw Damaged(path);
        Header = JsonSerializer.Deserialize<CheckpointHeader>(Take(length), Json) ?? throw Damaged(path);
        long end = file.Position;
        foreach (var entry in Header.Tensors)
        {
            places[entry.Name] = (end, entry.Count);
            end = checked(end + 4 * entry.Count);
        }
        if (end != file.Length - SHA256.HashSizeInBytes) throw Damaged(path);
        var piece = new byte[1 << 20];
        while (file.Position < end)
        {
            var some = piece.AsSpan(0, (int)Math.Min(piece.Length, end - file.Position));
            file.ReadExactly(some);
            sha.AppendData(some);
        }
        var computed = sha.GetHashAndReset();
        if (!Take(SHA256.HashSizeInBytes).AsSpan().SequenceEqual(computed)) throw Damaged(path);

        byte[] Take(int count)
        {
            var bytes = new byte[count];
            file.ReadExactly(bytes);
            sha.AppendData(bytes);
            return bytes;
        }
    }

    /// <summary>The trained network alone, for embedding.</summary>
    public Backbone LoadBackbone(Device device)
    {
        var backbone = Backbone.Create(device, Header.Settings.Net, Header.Settings.Data.Size, 0);
        Restore([.. backbone.Parameters, .. backbone.Buffers]);
        return backbone;
    }

    internal void Restore(Tensor[] tensors)
    {
        var values = PieceOf(tensors);
        foreach (var tensor in tensors)
        {
            if (!places.TryGetValue(tensor.Name, out var place) || place.Count != tensor.Shape.Count)
                throw new InputException($"{path}: the checkpoint has no tensor {tensor.Name} of shape {tensor.Shape}; it was written by another version of facesearch");
            foreach (var (first, count) in tensor.Shape.Pieces())
            {
                var piece = values.AsSpan(0, count);
                ReadFrom(place.At + 4 * first, MemoryMarshal.AsBytes(piece));
                tensor.Device.Write(tensor, first, piece);
            }
        }
    }

    void ReadFrom(long at, Span<byte> bytes)
    {
        try
        {
            file.Position = at;
            file.ReadExactly(bytes);
        }
        catch (IOException e)
        {
            throw Unreadable(path, e);
        }
    }

    /// Room for a piece of any of them.
    static float[] PieceOf(Tensor[] tensors) => new float[Math.Min(Shape.PieceLength, tensors.Max(t => t.Shape.Count))];

    static InputException Damaged(string path, Exception? inner = null) =>
        new($"{path}: the checkpoint is damaged or cut short; take an older one or train anew", inner);

    static InputException Unreadable(string path, Exception inner) => new($"{path}: the checkpoint cannot be read: {inner.Message}", inner);

    public void Dispose() => file.Dispose();
}
