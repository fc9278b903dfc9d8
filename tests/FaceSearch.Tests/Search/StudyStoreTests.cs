using System.Text.Json;
using FaceSearch.Recognition;
using FaceSearch.Search;
using Microsoft.Data.Sqlite;
using Xunit;

namespace FaceSearch.Tests.Search;

public class StudyStoreTests
{
    static readonly Trial Full = new()
    {
        Number = 3,
        Actions = [2, 0, 3, 1, 5, 2, 1, 0, 3],
        LogProbabilities = [-0.1, -1.0 / 3],
        Probabilities = [[0.1, 0.9], [1.0 / 3, 2.0 / 3]],
        Origin = TrialOrigin.Enqueued,
        State = TrialState.Pruned,
        Scores = [0.5, 0.1 + 0.2],
        Reward = 1.0 / 3,
        MMacs = 12.5,
        MParams = 1.25,
        MemoryMiB = 77.7,
        KeptImages = 100,
        KeptIdentities = 10,
        Loss = double.NaN,
        Message = "a \"quoted\", line\nand another é",
        Seconds = 1.5,
        Attempts = 2,
    };

    [Fact]
    public void RoundTripsEverything()
    {
        using var folder = new TemporaryFolder();
        var settings = new SearchSettings { Seed = 7, Study = new() { Name = "n" } };
        using (var store = StudyStore.Create(folder.File("a.study"), settings, Spaces.Paper, [[3, 3, 0, 4, 5, 0, 0, 0, 0]], "the command", "abc"))
        {
            store.Save(Full);
            store.Save(new() { Number = -1, Actions = [], Origin = TrialOrigin.Baseline });
            store.SetTarget(1.0 / 3);
            store.SetNote("final", "0.82");
            store.SetAudit([new("a.png", "Ann", "dropped", 0.1), new("", "Bob", "merged into Ann", double.NaN)]);
        }
        using var read = StudyStore.OpenRead(folder.File("a.study"));
        Assert.Equal(JsonSerializer.Serialize(Full with { Loss = 0 }), JsonSerializer.Serialize(read.Trials.Single() with { Loss = 0 }));
        Assert.True(double.IsNaN(read.Trials[0].Loss) && double.IsNaN(read.Baseline!.Reward));
        Assert.Equal(settings, read.Info.ToSettings());
        Assert.Equal(JsonSerializer.Serialize(Spaces.Paper), JsonSerializer.Serialize(read.Info.Space));
        Assert.Equal(("n", "the command", "abc", 1.0 / 3, 40.0), (read.Info.Name, read.Info.Command, read.Info.Commit, read.Info.TargetMMacs, read.Info.Space.Apply(new(), read.Info.Enqueued[0]).Head.TrueScale));
        Assert.InRange(read.Info.Created, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow);
        Assert.Equal("0.82", read.Notes["final"]);
        Assert.Equal([new("a.png", "Ann", "dropped", 0.1), new("", "Bob", "merged into Ann", double.NaN)], read.Audit);
        Assert.Null(read.Best);
        Assert.Equal([folder.File("a.study")], StudyStore.List(folder.Path));
    }

    [Fact]
    public void FingerprintSeesResultsAndNotTimes()
    {
        using var folder = new TemporaryFolder();
        using var store = StudyStore.Create(folder.File("a.study"), new(), Spaces.Mini);
        store.Save(Full);
        var print = store.Fingerprint();
        store.Save(Full with { Seconds = 99, Attempts = 7, Message = Full.Message + "\nline 12" });
        store.SetNote("seconds", "12");
        Assert.Equal(print, store.Fingerprint());
        store.Save(Full with { Reward = Math.BitIncrement(Full.Reward) });
        Assert.NotEqual(print, store.Fingerprint());
    }

    [Fact]
    public void ExportsTables()
    {
        using var folder = new TemporaryFolder();
        using var store = StudyStore.Create(folder.File("a.study"), new(), Spaces.Mini);
        store.Save(Full);
        using var csv = new StringWriter { NewLine = "\n" };
        store.ExportCsv(csv);
        Assert.Equal(
            "number,origin,state,reward,score,loss,mmacs,mparams,memory_mib,kept_images,kept_identities,attempts,seconds," +
            "Scales,Head.M1,Head.M2,Head.M3,Clean.DropBelow,Clean.MergeAbove,Clean.MinImages,Net.Width,Net.Depth,message\n" +
            "3,Enqueued,Pruned,0.3333333333333333,0.30000000000000004,,12.5,1.25,77.7,100,10,2,1.5,24/24,1,0.35,0.1,0.25,0.8,2,0.5,2,\"a \"\"quoted\"\", line\nand another é\"\n",
            csv.ToString());
        using var json = new StringWriter();
        store.ExportJson(json);
        using var parsed = JsonDocument.Parse(json.ToString());
        Assert.Equal(12.5, parsed.RootElement.GetProperty("Trials")[0].GetProperty("MMacs").GetDouble());
        Assert.Equal(store.Fingerprint(), parsed.RootElement.GetProperty("Fingerprint").GetString());
    }

    [Fact]
    public void OneWriterAndManyReaders()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("a.study");
        using (var store = StudyStore.Create(file, new(), Spaces.Mini))
        {
            Assert.Equal($"{file} is being written by another process: wait for it, stop it, or choose another --set Study.Name",
                Assert.Throws<InputException>(() => StudyStore.Open(file)).Message);
            store.Save(Full);
            using var reader = StudyStore.OpenRead(file);
            Assert.Single(reader.Trials);
        }
        using var again = StudyStore.Open(file);
        Assert.Single(again.Trials);
    }

    [Fact]
    public void RefusesWhatItCannotRead()
    {
        using var folder = new TemporaryFolder();
        string file = folder.File("a.study"), text = folder.File("text.study"), other = folder.File("other.study");
        StudyStore.Create(file, new(), Spaces.Mini).Dispose();
        Assert.Equal($"{file} exists already: go on with --resume, or choose another --set Study.Name",
            Assert.Throws<InputException>(() => StudyStore.Create(file, new(), Spaces.Mini)).Message);
        Execute(file, "PRAGMA user_version = 99");
        foreach (var open in new Func<string, StudyStore>[] { StudyStore.Open, StudyStore.OpenRead })
            Assert.Equal($"{file} has study format 99; this program reads format {StudyStore.FormatVersion}: use the program that wrote it, or start a new study",
                Assert.Throws<InputException>(() => open(file)).Message);
        File.WriteAllText(text, string.Concat(Enumerable.Repeat("these are no trials\n", 100)));
        Assert.Equal($"{text} is not a study: it is no SQLite database", Assert.Throws<InputException>(() => StudyStore.Open(text)).Message);
        Execute(other, "CREATE TABLE x (y)");
        Assert.Equal($"{other} is a database, but not a study of facesearch", Assert.Throws<InputException>(() => StudyStore.Open(other)).Message);
        Assert.Equal($"no study {folder.File("no.study")} (facesearch study list shows those there are)",
            Assert.Throws<InputException>(() => StudyStore.OpenRead(folder.File("no.study"))).Message);
        Assert.StartsWith($"{Path.Combine(text, "a.study")} cannot be written: ",
            Assert.Throws<InputException>(() => StudyStore.Create(Path.Combine(text, "a.study"), new(), Spaces.Mini)).Message);
    }

    [Fact]
    public void SaysThatTheDiskIsFull()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("a.study");
        using var store = StudyStore.Create(file, new(), Spaces.Mini);
        store.Command("PRAGMA max_page_count = 20").ExecuteScalar();
        var error = Assert.Throws<InputException>(() =>
        {
            for (int n = 0; n < 1000; n++) store.Save(Full with { Number = n, Message = new('x', 4000) });
        });
        Assert.Equal($"{file}: the disk is full; free some space, then go on with --resume", error.Message);
    }

    /// A kill while the file is being made leaves an empty one, or a database without tables.
    [Fact]
    public void WhatWasCutShortInTheMakingIsMadeAgain()
    {
        using var folder = new TemporaryFolder();
        string empty = folder.File("empty.study"), header = folder.File("header.study");
        File.WriteAllBytes(empty, []);
        Execute(header, "PRAGMA journal_mode = WAL");
        foreach (var file in new[] { empty, header })
        {
            Assert.StartsWith("no study", Assert.Throws<InputException>(() => StudyStore.Open(file)).Message);
            using (var store = StudyStore.Create(file, new(), Spaces.Mini)) store.Save(Full);
            using var again = StudyStore.Open(file);
            Assert.Single(again.Trials);
        }
    }

    [Fact]
    public void SaysThatAStudyIsDamaged()
    {
        using var folder = new TemporaryFolder();
        var file = folder.File("a.study");
        using (var store = StudyStore.Create(file, new(), Spaces.Mini)) store.Save(Full);
        Execute(file, "UPDATE trial SET actions = '[1,2'");
        using var read = StudyStore.OpenRead(file);
        Assert.StartsWith($"{file} is damaged (", Assert.Throws<InputException>(() => read.Trials).Message);
    }

    static void Execute(string file, string sql)
    {
        using var connection = new SqliteConnection($"Data Source={file};Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
