using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

public sealed class TeacherTests
{
    static readonly FaceSet Faces = Synth.Generate(4, 4, 16, 0, seed: 3);
    static readonly Settings Short = new() { Data = new() { Size = 16, Margin = 0 }, Clean = new() { TeacherBudget = 0.001 } };

    [Fact]
    public void TrainsOnceForTheSameFacesAndRebuildsADamagedCache()
    {
        var folder = Directory.CreateTempSubdirectory().FullName;
        int steps = 0;
        float[] Embed(Settings settings, FaceSet faces)
        {
            using var device = Cpu.Create();
            steps = 0;
            return Teacher.Embed(settings, faces, device, folder, progress: new Counter(step => steps = step)).Embeddings;
        }
        try
        {
            var first = Embed(Short, Faces);
            Assert.True(steps > 0);
            Assert.Equal(first, Embed(Short with { Head = new() { M2 = 0.1 }, Net = new() { Width = 2 } }, Faces));
            Assert.Equal(0, steps);
            Embed(Short with { Seed = 2 }, Faces);
            Assert.True(steps > 0);
            Embed(Short, Synth.Generate(4, 4, 16, 0, seed: 4));
            Assert.True(steps > 0);
            foreach (var file in Directory.GetFiles(folder))
            {
                var bytes = File.ReadAllBytes(file);
                bytes[5] ^= 1;
                File.WriteAllBytes(file, bytes);
            }
            Assert.Equal(first, Embed(Short, Faces));
            Assert.True(steps > 0);
            Assert.Equal(first, Embed(Short, Faces));
            Assert.Equal(0, steps);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    sealed class Counter(Action<int> report) : IProgress<TrainProgress>
    {
        public void Report(TrainProgress value) => report(value.Step);
    }
}
