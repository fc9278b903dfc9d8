using System.Text;
using FaceSearch.Recognition.Data;
using Xunit;

namespace FaceSearch.Tests.Data;

public class ImageFolderTests
{
    static FaceSet Load(string folder, string crop = "", int size = 16, int margin = 2) =>
        ImageFolder.Load(folder, CropBox.Parse(crop), size, margin);

    [Fact]
    public void ReadsIdentitiesInOrdinalOrder()
    {
        using var folder = new TemporaryFolder();
        folder.Picture("b/2.png");
        folder.Picture("b/1.JPG");
        folder.Picture("a/x.jpeg");
        folder.Picture("B/y.png");
        folder.Write("a/notes.txt", "not a photograph");
        var faces = Load(folder.Path);
        Assert.Equal(["B", "a", "b"], faces.IdentityNames);
        Assert.Equal(["B/y.png", "a/x.jpeg", "b/1.JPG", "b/2.png"], faces.Sources);
        Assert.Equal([0, 1, 2, 2], faces.Labels);
        Assert.Equal(20, faces.Side);
        Assert.All(faces.Images, i => Assert.Equal(20 * 20 * 3, i.Length));
        Assert.Empty(faces.Skipped);
    }

    [Fact]
    public void LeavesOutWhatItCannotReadAndSaysWhy()
    {
        using var folder = new TemporaryFolder();
        folder.Picture("good/1.png");
        folder.Picture("good/tiny.png", 1, 1);
        folder.Write("good/text.jpg", "this is text");
        folder.Write("good/empty.png", "");
        folder.Write("good/cut.pgm", "P5 30 30 255\nabc");
        folder.Write("gone/broken.jpg", "nothing");
        Directory.CreateDirectory(folder.At("nobody/x")[..^2]);
        var whole = File.ReadAllBytes(folder.Picture("good/whole.jpg", 100, 100));
        File.WriteAllBytes(folder.At("good/truncated.jpg"), whole[..(whole.Length / 2)]);

        var faces = Load(folder.Path);
        Assert.Equal(["good/1.png", "good/whole.jpg"], faces.Sources);
        var reasons = faces.Skipped.ToDictionary(s => s.Path, s => s.Reason);
        Assert.Equal(8, reasons.Count);
        Assert.Contains("truncated", reasons["good/truncated.jpg"]);
        Assert.Contains("truncated PGM", reasons["good/cut.pgm"]);
        Assert.Contains("not an image", reasons["good/text.jpg"]);
        Assert.Contains("1×1", reasons["good/tiny.png"]);
        Assert.Contains("empty file", reasons["good/empty.png"]);
        Assert.Contains("not an image", reasons["gone/broken.jpg"]);
        Assert.Contains("without a usable", reasons["gone"]);
        Assert.Contains("without photographs", reasons["nobody"]);
    }

    [Fact]
    public void RefusesFoldersWithoutPhotographs()
    {
        using var folder = new TemporaryFolder();
        Fails.With(() => Load(folder.Path + "/absent"), "Data.Folder", "no folder", "absent");
        Fails.With(() => Load(folder.Path), "no usable photograph", "sub-folder");
        folder.Write("one/a.jpg", "text");
        Fails.With(() => Load(folder.Path), "no usable photograph", "one/a.jpg", "not an image");
        folder.Picture("one/a.jpg", 40, 40);
        Fails.With(() => Load(folder.Path, "100,0,20,20"), "lies outside", "40×40", "Data.Crop");
        foreach (var bad in new[] { "1,2,3", "1,2,0,4", "a,b,c,d", "1,2,3,4,5" }) Fails.With(() => CropBox.Parse(bad), "Data.Crop", bad, "59,50,132,132");
    }

    [Fact]
    public void ReadsGreyMapsOfEveryKind()
    {
        int[] values = [.. Enumerable.Range(0, 64).Select(i => i * 4)];
        byte[] P5(int max, Func<int, byte[]> pixel) => [.. Encoding.ASCII.GetBytes($"P5\n# made by a test\n8 8\n{max}\n"), .. values.SelectMany(pixel)];
        var text = Encoding.ASCII.GetBytes("P2 8 8 255\n" + string.Join(' ', values));
        Assert.Equal(Array.ConvertAll(values, v => (byte)v), Photograph.Decode(text).Pixels);
        Assert.Equal(Photograph.Decode(text).Pixels, Photograph.Decode(P5(255, v => [(byte)v])).Pixels);
        Assert.Equal(Photograph.Decode(text).Pixels, Photograph.Decode(P5(65535, v => [(byte)(v * 257 >> 8), (byte)(v * 257)])).Pixels);
        foreach (var bad in new[] { "P2 8 8 255\n1 2", "P2 8 x 255", "P5 8 8 70000\n", "P5 8" })
            Assert.Throws<InvalidDataException>(() => Photograph.Decode(Encoding.ASCII.GetBytes(bad)));
    }

    [Fact]
    public void CropTakesTheBoxAndTheMarginAroundIt()
    {
        // Grey ramp of one step a column: the result shows from where each column was taken.
        var ramp = new Photograph([.. Enumerable.Range(0, 64 * 64).Select(i => (byte)(i % 64 * 3))], 64, 64, 1);
        var same = Resample.Crop(ramp, new(20, 10, 16, 16), 16, 2);
        for (int x = 0; x < 20; x++) Assert.Equal((18 + x) * 3, same[x * 3]);
        // Half the size: each pixel is centred between two columns.
        var half = Resample.Crop(ramp, new(16, 16, 32, 32), 16, 0);
        for (int x = 0; x < 16; x++) Assert.InRange(half[x * 3] - (16 + 2 * x + 0.5) * 3, -1, 1);
        // Beyond the border the edge is repeated.
        var outside = Resample.Crop(ramp, new(-8, -8, 16, 16), 16, 0);
        Assert.All(Enumerable.Range(0, 9), x => Assert.Equal(0, outside[x * 3]));
        Assert.Equal(3, outside[9 * 3]);
    }

    [Fact]
    public void ReductionDoesNotAlias()
    {
        var stripes = new Photograph([.. Enumerable.Range(0, 128 * 128).Select(i => (byte)(i % 2 * 255))], 128, 128, 1);
        Assert.All(Resample.Crop(stripes, new(8, 8, 112, 112), 16, 0), v => Assert.InRange(v, 110, 145));
    }

    [Fact]
    public void ASecondLoadComesFromTheCacheAndADamagedCacheIsRebuilt()
    {
        using var folder = new TemporaryFolder();
        folder.Picture("a/1.png");
        folder.Write("a/2.jpg", "text");
        string[] files = ["a/1.png", "a/2.jpg"];
        var cache = new DecodeCache(folder.Path, null, 16, 2);
        var first = cache.Get(files, null);
        var stored = File.ReadAllBytes(cache.PathOf(files));
        var reports = new Reports();
        var second = cache.Get(files, reports);
        Assert.Equal(0, reports.Count);
        Assert.Equal(first[0].Image, second[0].Image);
        Assert.Equal(first[1].Reason, second[1].Reason);
        foreach (var damage in new[] { stored[..100], [.. stored[..200], (byte)(stored[200] ^ 1), .. stored[201..]], [] })
        {
            File.WriteAllBytes(cache.PathOf(files), damage);
            Assert.Equal(first[0].Image, cache.Get(files, null)[0].Image);
            Assert.Equal(stored, File.ReadAllBytes(cache.PathOf(files)));
        }
        folder.Picture("a/1.png", tint: 200);
        File.SetLastWriteTimeUtc(folder.At("a/1.png"), DateTime.UnixEpoch);
        Assert.NotEqual(first[0].Image, cache.Get(files, null)[0].Image);
    }

    [Fact]
    public void ReadsGreyPhotographsOfTwentyPeople()
    {
        var faces = Load(RealFaces.Folder("att"), size: 48, margin: 4);
        Assert.Equal((20, 200), (faces.Identities, faces.Count));
        Assert.Empty(faces.Skipped);
        Assert.All(faces.Images, i => Assert.True(i[0] == i[1] && i[1] == i[2]));
    }

    sealed class Reports : IProgress<LoadProgress>
    {
        public int Count { get; private set; }
        public void Report(LoadProgress value) => Count++;
    }
}
