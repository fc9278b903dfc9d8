using FaceSearch.Recognition.Data;
using Xunit;

namespace FaceSearch.Tests.Data;

public class AugmentationTests
{
    const int Size = 32, Area = Size * Size, Images = 400;
    static readonly FaceSet Faces = Synth.Generate(5, 9, Size, 3, 1);

    /// The first images, without shift and flip: all that differs is what is under test.
    static float[][] Shown(Augmentation augmentation)
    {
        var batches = new Batches(Faces, Size, Images, 4, augmentation);
        var values = new float[Images * 3 * Area];
        batches.Fill(0, values, new int[Images]);
        return [.. values.Chunk(3 * Area)];
    }

    static readonly Augmentation Still = new(Shift: false, Flip: false);

    [Fact]
    public void JitterIsOneLineForEachColour()
    {
        const double jitter = 0.3;
        var (plain, lit) = (Shown(Still), Shown(Still with { Jitter = jitter }));
        var contrasts = new List<double>();
        for (int i = 0; i < Images; i++)
            for (int c = 0; c < 3; c++)
            {
                // Two pixels that are not clamped tell the line; all others must lie on it.
                var inside = Enumerable.Range(c * Area, Area).Where(p => Math.Abs(lit[i][p]) < 1).OrderBy(p => plain[i][p]).ToArray();
                if (inside.Length < 2 || plain[i][inside[^1]] - plain[i][inside[0]] < 0.2) continue;
                double contrast = (lit[i][inside[^1]] - lit[i][inside[0]]) / (plain[i][inside[^1]] - plain[i][inside[0]]);
                double offset = lit[i][inside[0]] - contrast * plain[i][inside[0]];
                contrasts.Add(contrast);
                Assert.InRange(contrast, 1 - jitter - 1e-4, 1 + jitter + 1e-4);
                Assert.InRange(offset, -1.25 * jitter - 1e-4, 1.25 * jitter + 1e-4);
                for (int p = c * Area; p < (c + 1) * Area; p++)
                    Assert.Equal(Math.Clamp(contrast * plain[i][p] + offset, -1, 1), lit[i][p], 1e-4);
            }
        Assert.True(contrasts.Count > 2 * Images);
        Assert.InRange(contrasts.Average(), 0.97, 1.03);
        Assert.True(contrasts.Max() - contrasts.Min() > 1.5 * jitter);
    }

    [Fact]
    public void ErasingHidesOneRectangleInItsShareOfTheImages()
    {
        const double share = 0.4;
        var (plain, erased) = (Shown(Still), Shown(Still with { Erase = share }));
        int hidden = 0;
        for (int i = 0; i < Images; i++)
        {
            var changed = Enumerable.Range(0, Area).Where(p => Enumerable.Range(0, 3).Any(c => plain[i][c * Area + p] != erased[i][c * Area + p])).ToArray();
            if (changed.Length == 0) continue;
            hidden++;
            int left = changed.Min(p => p % Size), right = changed.Max(p => p % Size), top = changed.Min(p => p / Size), bottom = changed.Max(p => p / Size);
            Assert.InRange(right - left + 1, 4, Size / 2);
            Assert.InRange(bottom - top + 1, 4, Size / 2);
            for (int c = 0; c < 3; c++)
                for (int y = top; y <= bottom; y++)
                    for (int x = left; x <= right; x++) Assert.Equal(erased[i][(c * Size + top) * Size + left], erased[i][(c * Size + y) * Size + x]);
        }
        Assert.InRange((double)hidden / Images, share - 0.1, share + 0.1);
    }

    [Fact]
    public void OneChangeLeavesTheOthersAsTheyWere()
    {
        // Where nothing is hidden, a moved and mirrored image is the same with and without erasing.
        var (without, with) = (Shown(new()), Shown(new() { Erase = 0.5 }));
        int same = without.Zip(with).Count(pair => pair.First.AsSpan().SequenceEqual(pair.Second));
        Assert.InRange(same, Images * 0.4, Images * 0.6);
    }
}
