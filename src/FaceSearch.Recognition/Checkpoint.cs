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
    [JsonIgnore] public int Count => Shape.Aggregate(1, (product, d) => checked(product * d));
}

/// <summary>
/// A training in one file: "FACESRCH", format version (int32), length of the header (int32), header (JSON), values of all
/// tensors (float32, row-major), SHA-256 of everything before. Little-endian. Written aside and renamed, so that a file
/// of that name is always a whole one.
/// </summary>
public sealed class Checkpoint
{
    const int Version = 1;
    static ReadOnlySpan<byte> Magic => "FACESRCH"u8;
    static readonly JsonSerializerOptions Json = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    readonly string path;
    readonly Dictionary<string, float[]> values = [];

    Checkpoint(string path, CheckpointHeader header) => (this.path, Header) = (path, header);

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
            foreach (var tensor in tensors) Put(MemoryMarshal.AsBytes<float>(tensor.ToArray()));
            file.Write(sha.GetHashAndReset());

            void Put(ReadOnlySpan<byte> bytes)
            {
                file.Write(bytes);
                sha.AppendData(bytes);
            }
        });
    }

    /// <summary>Reads and checks a file. Another version, a truncated or a changed file is refused with words.</summary>
    public static Checkpoint Read(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var prefix = Take(16);
            if (!prefix.AsSpan(0, 8).SequenceEqual(Magic)) throw new InputException($"{path}: this is not a checkpoint of facesearch");
            int version = BinaryPrimitives.ReadInt32LittleEndian(prefix.AsSpan(8)), length = BinaryPrimitives.ReadInt32LittleEndian(prefix.AsSpan(12));
            if (version != Version) throw new InputException($"{path}: checkpoint of format {version}, expected {Version}; use the facesearch that wrote it, or train anew");
            if (length < 0 || length > file.Length) throw Damaged(path);
            var header = JsonSerializer.Deserialize<CheckpointHeader>(Take(length), Json) ?? throw Damaged(path);
            var checkpoint = new Checkpoint(path, header);
            foreach (var entry in header.Tensors)
            {
                if (4L * entry.Count > file.Length) throw Damaged(path);
                checkpoint.values[entry.Name] = MemoryMarshal.Cast<byte, float>(Take(4 * entry.Count)).ToArray();
            }
            var computed = sha.GetHashAndReset();
            return Take(32).AsSpan().SequenceEqual(computed) ? checkpoint : throw Damaged(path);

            byte[] Take(int count)
            {
                var bytes = new byte[count];
                file.ReadExactly(bytes);
                sha.AppendData(bytes);
                return bytes;
            }
        }
        catch (Exception e) when (e is EndOfStreamException or JsonException or OverflowException)
        {
            throw Damaged(path, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path}: the checkpoint cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The trained network alone, for embedding.</summary>
    public static Backbone LoadBackbone(string path, Device device)
    {
        var saved = Read(path);
        var backbone = Backbone.Create(device, saved.Header.Settings.Net, saved.Header.Settings.Data.Size, 0);
        saved.Restore(backbone.Parameters.Concat(backbone.Buffers));
        return backbone;
    }

    internal void Restore(IEnumerable<Tensor> tensors)
    {
        foreach (var tensor in tensors)
        {
            if (!values.TryGetValue(tensor.Name, out var saved) || saved.Length != tensor.Shape.Count)
                throw new InputException($"{path}: the checkpoint has no tensor {tensor.Name} of shape {tensor.Shape}; it was written by another version of facesearch");
            tensor.Device.Write(tensor, saved);
        }
    }

    static InputException Damaged(string path, Exception? inner = null) =>
        new($"{path}: the checkpoint is damaged or cut short; take an older one or train anew", inner);
}
