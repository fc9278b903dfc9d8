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
    public void WarpingTurnsAndZoomsAboutTheMiddle()
    {
        // On an image whose red is its column and whose green is its row, values tell where each pixel comes from.
        const double warp = 0.1;
        int side = Size + 16;
        var map = new byte[side * side * 3];
        for (int i = 0; i < side * side; i++) (map[3 * i], map[3 * i + 1]) = ((byte)(4 * (i % side)), (byte)(4 * (i / side)));
        var one = new FaceSet { Side = side, Images = [map], Labels = [0], IdentityNames = ["map"], Sources = ["map"] };
        var values = new float[Images * 3 * Area];
        new Batches(one, Size, Images, 4, Still with { Warp = warp }).Fill(0, values, new int[Images]);
        var zooms = new List<double>();
        var turns = new List<double>();
        foreach (var image in values.Chunk(3 * Area))
        {
            double From(int plane, int x, int y) => (image[plane * Area + y * Size + x] * 127.5 + 127.5) / 4;
            double along = (From(0, Size - 1, 7) - From(0, 0, 7)) / (Size - 1), across = (From(1, Size - 1, 7) - From(1, 0, 7)) / (Size - 1);
            Assert.Equal((side - 1) / 2.0, (From(0, 0, 0) + From(0, Size - 1, Size - 1)) / 2, 1e-3);
            Assert.Equal((side - 1) / 2.0, (From(1, 0, 0) + From(1, Size - 1, Size - 1)) / 2, 1e-3);
            Assert.Equal(along, (From(1, 3, Size - 1) - From(1, 3, 0)) / (Size - 1), 1e-3);
            Assert.Equal(-across, (From(0, 3, Size - 1) - From(0, 3, 0)) / (Size - 1), 1e-3);
            zooms.Add(Math.Sqrt(along * along + across * across));
            turns.Add(Math.Atan2(across, along));
        }
        Assert.InRange(zooms.Min(), 1 - warp, 1 - 0.9 * warp);
        Assert.InRange(zooms.Max(), 1 + 0.9 * warp, 1 + warp + 1e-3);
        Assert.InRange(turns.Min(), -warp, -0.9 * warp);
        Assert.InRange(turns.Max(), 0.9 * warp, warp);
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
