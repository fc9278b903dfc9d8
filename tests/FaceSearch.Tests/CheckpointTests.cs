using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

public sealed class CheckpointTests : IDisposable
{
    static readonly FaceSet Faces = Synth.Generate(4, 3, 16, 0, seed: 3);
    static readonly Settings Tiny = new()
    {
        Data = new() { Size = 16, Margin = 0 },
        Net = new() { Embedding = 16 },
        Train = new() { Batch = 4, Budget = 1e-3 },
    };

    readonly string folder = Directory.CreateTempSubdirectory().FullName;
    readonly Device device = Cpu.Create();

    string Saved()
    {
        var path = Path.Combine(folder, "net.checkpoint");
        using var training = Training.Start(Tiny, Faces, device);
        training.Advance(2);
        training.Save(path);
        return path;
    }

    [Fact]
    public void TheNetworkAloneEmbedsAsItDidInTraining()
    {
        var path = Path.Combine(folder, "deep", "net.checkpoint");
        using var training = Training.Start(Tiny, Faces, device);
        training.Advance(2);
        training.Save(path);
        using var saved = Checkpoint.Read(path);
        using var loaded = saved.LoadBackbone(device);
        Assert.Equal(Embedder.Embed(training.Backbone, Faces), Embedder.Embed(loaded, Faces));
        Assert.Equal(["net.checkpoint"], Directory.GetFiles(Path.GetDirectoryName(path)!).Select(Path.GetFileName));
    }

    [Fact]
    public void SettingsComeBackWhole()
    {
        using var saved = Checkpoint.Read(Saved());
        Assert.Equal(Tiny, saved.Header.Settings);
    }

    [Fact]
    public void EveryTruncationAndEveryFlippedBitIsRefused()
    {
        var path = Saved();
        var whole = File.ReadAllBytes(path);
        foreach (int length in new[] { 0, 7, 15, 16, 200, whole.Length / 2, whole.Length - 32, whole.Length - 1 })
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains("damaged or cut short", Refused(path));
        }
        for (int i = 16; i < whole.Length; i += whole.Length / 40)
        {
            var changed = (byte[])whole.Clone();
            changed[i] ^= 0x10;
            File.WriteAllBytes(path, changed);
            Assert.Contains("damaged or cut short", Refused(path));
        }
    }

    [Fact]
    public void SaysWhatTheFileIsInstead()
    {
        var path = Saved();
        var bytes = File.ReadAllBytes(path);
        bytes[8] = 9;
        File.WriteAllBytes(path, bytes);
        Assert.Contains("checkpoint of format 9, expected 1", Refused(path));
        File.WriteAllText(path, "a text that is long enough to be a header");
        Assert.Contains("not a checkpoint", Refused(path));
        Assert.Contains("cannot be read", Refused(Path.Combine(folder, "absent")));
    }

    [Fact]
    public void RefusesOtherFaces()
    {
        var path = Saved();
        var error = Assert.Throws<InputException>(() => Training.Resume(path, Synth.Generate(4, 3, 16, 0, seed: 4), device));
        Assert.Contains("this training was on other faces", error.Message);
    }

    [Fact]
    public void SaysWhyItCannotBeWritten()
    {
        var file = Path.Combine(folder, "file");
        File.WriteAllText(file, "in the way");
        using var training = Training.Start(Tiny, Faces, device);
        var error = Assert.Throws<InputException>(() => training.Save(Path.Combine(file, "net.checkpoint")));
        Assert.Contains("the checkpoint cannot be written", error.Message);
    }

    static string Refused(string path) => Assert.Throws<InputException>(() => Checkpoint.Read(path)).Message;

    public void Dispose()
    {
        device.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
