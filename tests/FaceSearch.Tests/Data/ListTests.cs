using FaceSearch.Recognition.Data;
using Xunit;

namespace FaceSearch.Tests.Data;

public class ListTests
{
    const string TwoFolds = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t1\nCat\t1\t3\nCat\t1\tDan\t2\n";

    [Fact]
    public void ReadsPairsAndChoosesAFold()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("pairs.txt", TwoFolds);
        var pairs = PairList.Read(path);
        Assert.Equal(4, pairs.Count);
        Assert.Equal(new NamedPair("Ann", 1, "Ann", 2, 1, 2), pairs[0]);
        Assert.Equal("Dan/Dan_0002", pairs[3].KeyB);
        Assert.Equal([2, 2], PairList.Read(path, 2).Select(p => p.Fold));
        Assert.Equal(pairs.Take(2), PairList.Read(folder.Write("one.txt", "1\nAnn\t1\t2\nAnn\t1\tBob\t1\n")));
        Fails.With(() => PairList.Read(path, 3), "Data.PairsFold", "2 folds");
    }

    [Theory]
    [InlineData("2\t1\nAnn\t1\t2\nAnn\t1\tBob\n", ":3", "mismatched pair")]
    [InlineData("1\nAnn\t1\tx\nAnn\t1\tBob\t1\n", ":2", "matched pair")]
    [InlineData("1\nAnn\t1\t2\nAnn\t1\tAnn\t2\n", ":3", "mismatched pair")]
    [InlineData("1\nAnn\t1\t2\n", ":2", "ends here")]
    [InlineData("1\nAnn\t1\t2\nAnn\t1\tBob\t1\nAnn\t2\t3\n", ":3", "end of the list")]
    [InlineData("Ann\t1\t2\n", ":1", "header")]
    [InlineData("", ":1", "header")]
    public void MalformedPairsNameTheLine(string text, string line, string expected)
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("pairs.txt", text);
        Fails.With(() => PairList.Read(path), "pairs.txt" + line, expected);
    }

    [Fact]
    public void AbsentPeopleAreSkippedAndAllAbsentIsAnError()
    {
        using var folder = new TemporaryFolder();
        foreach (var file in new[] { "Ann/Ann_0001.png", "Ann/Ann_0002.jpg", "Bob/Bob_0001.png" }) folder.Picture(file);
        var faces = ImageFolder.Load(folder.Path, null, 16, 0);
        var path = folder.Write("pairs.txt", TwoFolds);
        var set = PairList.Resolve(PairList.Read(path), faces, path);
        Assert.Equal([new(0, 1, true, 1), new(0, 2, false, 1)], set.Pairs);
        Assert.Equal(["pairs.txt:4", "pairs.txt:5"], set.Faces.Skipped.Select(s => s.Path));
        Fails.With(() => PairList.Resolve(PairList.Read(path, 2), faces, path), "0 are present", "Cat/Cat_0001");
        Fails.With(() => PairList.Read(folder.Path + "/none.txt"), "none.txt", "no such file");
    }

    [Fact]
    public void ReadsPeopleInSetsAndPlain()
    {
        using var folder = new TemporaryFolder();
        var sets = folder.Write("people.txt", "3\n2\nAnn\t4\nBob\t1\n1\nCat\t2\n1\nDan\t2\n");
        Assert.Equal(["Ann", "Bob", "Cat", "Dan"], PeopleList.Read(sets));
        Assert.Equal(["Ann", "Bob", "Dan"], PeopleList.Read(sets, "1,3"));
        Assert.Equal(["Cat", "Dan"], PeopleList.Read(sets, "2-3"));
        Assert.Equal(["Ann", "Bob"], PeopleList.Read(folder.Write("dev.txt", "2\nAnn\t4\nBob\t1\n")));
        var plain = folder.Write("names.txt", "Ann Lee\n\nBob\n");
        Assert.Equal(["Ann Lee", "Bob"], PeopleList.Read(plain));
        Fails.With(() => PeopleList.Read(plain, "1"), "Data.PeopleSets", "without sets");
        foreach (var bad in new[] { "0", "4", "2-1", "x", "1-2-3" }) Fails.With(() => PeopleList.Read(sets, bad), "Data.PeopleSets", bad, "1 to 3");
        Fails.With(() => PeopleList.Read(folder.Write("short.txt", "2\n1\nAnn\t1\n2\nBob\t1\n")), "1 of 2 people of set 2");
        Fails.With(() => PeopleList.Read(folder.Write("empty.txt", " \n")), "empty");
    }

    [Fact]
    public void WrittenPairsReadBack()
    {
        using var folder = new TemporaryFolder();
        NamedPair[] pairs = [new("Ann", 1, "Ann", 2, 1, 2), new("Ann", 3, "Bob", 1, 1, 3)];
        PairList.Write(folder.At("p.txt"), pairs);
        Assert.Equal(pairs, PairList.Read(folder.At("p.txt")));
    }
}
