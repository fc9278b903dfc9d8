using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Data;

public class BatchesTests
{
    const int Size = 16;
    static readonly FaceSet Faces = Synth.Generate(5, 9, Size, 3, 1);

    static (float[] Images, int[] Labels) Fill(Batches batches, long step)
    {
        var (images, labels) = (new float[batches.Batch * 3 * Size * Size], new int[batches.Batch]);
        batches.Fill(step, images, labels);
        return (images, labels);
    }

    [Fact]
    public void EveryEpochShowsEveryImageOnce()
    {
        // One image a batch and no augmentation: the values tell which image it is.
        var batches = new Batches(Faces, Size, 1, 4, new(Shift: false, Flip: false));
        var centres = new float[Faces.Count][];
        for (int i = 0; i < Faces.Count; i++) Pixels.Centre(Faces, i, 1, Size, false, centres[i] = new float[3 * Size * Size]);
        int[] Epoch(int number) => [.. Enumerable.Range(0, Faces.Count).Select(s =>
        {
            var (image, label) = Fill(batches, number * Faces.Count + s);
            int row = Array.FindIndex(centres, c => c.AsSpan().SequenceEqual(image));
            Assert.Equal(Faces.Labels[row], label[0]);
            return row;
        })];
        Assert.Equal(Enumerable.Range(0, Faces.Count), Epoch(0).Order());
        Assert.Equal(Enumerable.Range(0, Faces.Count), Epoch(1).Order());
        Assert.NotEqual(Epoch(0), Epoch(1));
    }

    [Fact]
    public void AStepDoesNotDependOnWhatWasReadBefore()
    {
        var through = new Batches(Faces, Size, 7, 4, new());
        var all = Enumerable.Range(0, 30).Select(s => Fill(through, s)).ToArray();
        foreach (int step in new[] { 29, 3, 17, 0 })
        {
            var resumed = Fill(new Batches(Faces, Size, 7, 4, new()), step);
            Assert.Equal(all[step].Images, resumed.Images);
            Assert.Equal(all[step].Labels, resumed.Labels);
        }
        Assert.NotEqual(all[3].Images, Fill(new Batches(Faces, Size, 7, 5, new()), 3).Images);
    }

    [Fact]
    public void WindowsMoveAndMirror()
    {
        var (one, side) = (Faces.Subset([0]), Faces.Side);
        var seen = new HashSet<(int, int, bool)>();
        for (int step = 0; step < 2000; step++)
        {
            var image = Fill(new Batches(one, Size, 1, 4, new()), step).Images;
            seen.Add(Places().First(p => Shows(image, one.Images[0], side, p)));
        }
        Assert.Equal(7 * 7 * 2, seen.Count);
    }

    static IEnumerable<(int, int, bool)> Places() =>
        from x in Enumerable.Range(0, 7) from y in Enumerable.Range(0, 7) from m in new[] { false, true } select (x, y, m);

    static bool Shows(float[] values, byte[] image, int side, (int Left, int Top, bool Mirror) at)
    {
        for (int i = 0; i < values.Length; i++)
        {
            int c = i / (Size * Size), y = i / Size % Size, x = i % Size, from = at.Mirror ? Size - 1 - x : x;
            if (values[i] != (image[((at.Top + y) * side + at.Left + from) * 3 + c] - 127.5f) / 127.5f) return false;
        }
        return true;
    }

    [Fact]
    public void NoiseIsUniformNormalAndAPermutation()
    {
        const int n = 20000;
        var uniform = Enumerable.Range(0, n).Select(i => Noise.Uniform(1, 2, (ulong)i)).ToArray();
        Assert.InRange(uniform.Average(), 0.5 - 0.01, 0.5 + 0.01);
        Assert.All(uniform, u => Assert.InRange(u, 0, 1 - 1e-16));
        var normal = Enumerable.Range(0, n).Select(i => Noise.Normal(1, 2, (ulong)i)).ToArray();
        Assert.InRange(normal.Average(), -0.03, 0.03);
        Assert.InRange(normal.Average(v => v * v), 0.95, 1.05);
        Assert.InRange(normal.Average(v => v * v * v * v), 2.7, 3.3);
        Assert.Equal(Enumerable.Range(0, 257), Noise.Permutation(257, 1, 2).Order());
        Assert.Equal(7, Enumerable.Range(0, 1000).Select(i => Noise.Below(7, 1, 2, (ulong)i)).Distinct().Count());
        Assert.InRange(uniform.Zip(Enumerable.Range(0, n), (u, i) => (u - 0.5) * (Noise.Uniform(1, 3, (ulong)i) - 0.5)).Average(), -0.003, 0.003);
    }
}
