using Microsoft.Data.Sqlite;
using Xunit;

namespace FaceSearch.Tests.Cli;

/// <summary>What a person gets wrong, and is told.</summary>
public sealed class BadInputTests : IDisposable
{
    readonly Facesearch program = new();

    [Fact]
    public void UnknownSettingNamesTheNearest() => program.Run("search", "--set", "Head.Margn2=1").Refused("Head.Margn2", "nearest", "Head.M2");

    [Fact]
    public void ValueOutOfRangeNamesTheRange() => program.Run("train", "--set", "Head.M2=9").Refused("Head.M2", "0 to 1.5");

    [Fact]
    public void SettingWithoutValue() => program.Run("train", "--set", "Head.M2").Refused("path=value");

    [Fact]
    public void SettingsFileTellsTheLine()
    {
        File.WriteAllText(program.In("bad.yaml"), "Head:\n  M2: 0.3\n  Scale: 4\n");
        program.Run("search", "--config", "bad.yaml").Refused("bad.yaml line 3", "Head.Scale");
        program.Run("search", "--config", "absent.yaml").Refused("absent.yaml");
    }

    [Fact]
    public void MissingFolderOfPhotographs() => program.Run("search", "--set", "Data.Folder=nowhere").Refused("nowhere", "sub-folder");

    /// The same command with the mistake put right must not find the name taken.
    [Fact]
    public void AMistakeLeavesNoStudyBehind()
    {
        program.Run([.. Search, "--set", "Data.Folder=nowhere"]).Refused("nowhere");
        program.Run([.. Search, "--set", "Data.Size=50"]).Refused("50", "multiple of 16");
        program.Run([.. Search, "--set", "Study.Policy=magic"]).Refused("magic", "tpe");
        program.Run([.. Search, "--set", "Study.Score=f1"]).Refused("f1", "accuracy");
        program.Run([.. Search, "--set", "Study.Last=Train.Warp"]).Refused("Study.Last", "Train.Warp", "path=value");
        program.Run([.. Search, "--set", "Study.Last=Train.Warp=3"]).Refused("Study.Last", "Train.Warp", "0.5");
        program.Run([.. Search, "--set", "Study.Last=Data.Size=32"]).Refused("Study.Last", "Data.Size", "same faces");
        program.Run([.. Search, "--set", "Train.Batch=500"]).Refused("trial 0 (rejected", "a batch has 500");
        Assert.Single(Directory.GetFiles(program.Folder, "*.study", SearchOption.AllDirectories));
    }

    static readonly string[] Search = ["search", .. Facesearch.Tiny];

    [Fact]
    public void FolderWithoutPhotographs()
    {
        Directory.CreateDirectory(program.In("photos/anna"));
        File.WriteAllText(program.In("photos/anna/text.jpg"), "no picture");
        program.Run("data", "inspect", "--set", "Data.Folder=photos").Refused("no usable photograph", "anna");
    }

    [Fact]
    public void SizeThatNoNetworkTakes() => program.Run(["train", .. Facesearch.Tiny, "--set", "Data.Size=50"]).Refused("50", "multiple of 16");

    [Fact]
    public void UnwritableRunsFolder()
    {
        File.WriteAllText(program.In("file"), "");
        program.Run(["search", .. Facesearch.Tiny, "--runs", "file"]).Refused("file", "--runs");
        program.Run(["train", .. Facesearch.Tiny, "--runs", "file"]).Refused("file", "--runs");
        Assert.Contains("CANNOT", program.Run("doctor", "--runs", "file").Ended(1).Out);
    }

    [Fact]
    public void NoSuchSpaceStudyRunCheckpoint()
    {
        program.Run("search", "--set", "Study.Space=huge").Refused("huge", "mini");
        program.Run("search", "--resume").Refused("search.study");
        program.Run("study", "show", "absent").Refused("absent");
        program.Run("report", "absent").Refused("absent");
        program.Run("train", "--resume").Refused("train-0", "--name");
        program.Run("evaluate", "absent.checkpoint").Refused("absent.checkpoint");
    }

    [Fact]
    public void StudyNameThatIsNoFolderName() => program.Run("search", "--set", "Study.Name=a/b").Refused("Study.Name", "a/b");

    [Fact]
    public void NotACheckpoint()
    {
        File.WriteAllText(program.In("text.checkpoint"), "this is a text of more than sixteen bytes");
        program.Run("evaluate", "text.checkpoint").Refused("not a checkpoint");
    }

    [Fact]
    public void StudyOfAnotherVersionAndOtherFilesAreRefused()
    {
        var file = program.In("other.study");
        using (var connection = new SqliteConnection($"Data Source={file};Pooling=False"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "PRAGMA application_id = 1179862321; PRAGMA user_version = 99; CREATE TABLE study (name TEXT)";
            command.ExecuteNonQuery();
        }
        program.Run("study", "show", "other.study").Refused("format 99");
        File.WriteAllText(program.In("text.study"), new string('x', 5000));
        program.Run("study", "show", "text.study").Refused("text.study", "not a study");
    }

    [Fact]
    public void WrongSeedsThreadsAndDesign()
    {
        program.Run("train", "--seeds", "1,two").Refused("two", "1,2,3");
        program.Run("train", "--threads", "0").Refused("--threads", "1 to");
        program.Run("train", "--design", "absent:3").Refused("absent");
    }

    public void Dispose() => program.Dispose();
}
