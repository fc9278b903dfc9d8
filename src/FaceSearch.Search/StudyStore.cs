using System.Text.Json;
using FaceSearch.Recognition;
using Microsoft.Data.Sqlite;

namespace FaceSearch.Search;

/// <summary>What a study was made from; written once.</summary>
/// <param name="Settings">Complete settings, as path and text.</param>
/// <param name="Enqueued">Known designs (actions) that are tried first.</param>
/// <param name="TargetMMacs">FLOPs target in millions of multiply-accumulates; 0 until the baseline is planned.</param>
public sealed record StudyInfo(
    string Name, IReadOnlyDictionary<string, string> Settings, Space Space, int[][] Enqueued,
    string Command, string Commit, DateTimeOffset Created, double TargetMMacs)
{
    /// <summary>The settings as records again.</summary>
    public SearchSettings ToSettings() => SettingsSource.Parse(new SearchSettings(), Settings);
}

/// <summary>What the cleaning of the best design did to one photograph or identity.</summary>
public sealed record AuditEntry(string Image, string Identity, string Done, double Similarity);

/// <summary>
/// A study in one SQLite file: what it was made from, its trials, the audit of the best cleaning and named final
/// figures (notes). One process writes (guarded by a lock file), any number read. Each change is one short transaction.
/// </summary>
public sealed partial class StudyStore : IDisposable
{
    /// <summary>Files of another format are refused, never converted in silence.</summary>
    public const int FormatVersion = 1;
    const int ApplicationId = 0x46534531;
    public const string Extension = ".study";

    readonly SqliteConnection connection;
    readonly FileStream? writer;
    readonly Lock gate = new();

    StudyStore(string file, SqliteConnection connection, FileStream? writer) =>
        (File, this.connection, this.writer) = (file, connection, writer);

    public string File { get; }

    public StudyInfo Info => Locked(() =>
    {
        using var command = Command("SELECT name, settings, space, enqueued, command, commit_id, created, target FROM study");
        using var reader = command.ExecuteReader();
        if (!reader.Read()) throw new InputException($"{File}: the study is empty; delete the file and start again");
        return new StudyInfo(reader.GetString(0), Json<Dictionary<string, string>>(reader.GetString(1)), Json<Space>(reader.GetString(2)),
            Json<int[][]>(reader.GetString(3)), reader.GetString(4), reader.GetString(5), Json<DateTimeOffset>(reader.GetString(6)), reader.GetDouble(7));
    });

    /// <summary>All trials in the order of their numbers, without the baseline.</summary>
    public IReadOnlyList<Trial> Trials => Read("WHERE number >= 0");

    /// <summary>The settings' own design, if the study trains it.</summary>
    public Trial? Baseline => Read("WHERE number = -1").SingleOrDefault();

    /// <summary>The complete trial of highest reward, the earlier one of equals.</summary>
    public Trial? Best => Trials.Where(t => t.State == TrialState.Complete).MaxBy(t => t.Reward);

    public IReadOnlyList<AuditEntry> Audit => Locked(() =>
    {
        using var command = Command("SELECT image, identity, done, similarity FROM audit ORDER BY rowid");
        using var reader = command.ExecuteReader();
        var entries = new List<AuditEntry>();
        while (reader.Read()) entries.Add(new(reader.GetString(0), reader.GetString(1), reader.GetString(2), Number(reader, 3)));
        return entries;
    });

    /// <summary>Named final figures.</summary>
    public IReadOnlyDictionary<string, string> Notes => Locked(() =>
    {
        using var command = Command("SELECT key, value FROM note ORDER BY key");
        using var reader = command.ExecuteReader();
        var notes = new SortedDictionary<string, string>(StringComparer.Ordinal);
        while (reader.Read()) notes[reader.GetString(0)] = reader.GetString(1);
        return notes;
    });

    /// <summary>Writes a trial as it stands now.</summary>
    public void Save(Trial trial) => Locked(() => Execute(
        """
        INSERT OR REPLACE INTO trial (number, origin, state, actions, log_probabilities, probabilities, scores, reward,
            mmacs, mparams, memory_mib, kept_images, kept_identities, loss, message, seconds, attempts)
        VALUES ($0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        """,
        trial.Number, trial.Origin.ToString(), trial.State.ToString(), Json(trial.Actions), Json(trial.LogProbabilities),
        Json(trial.Probabilities), Json(trial.Scores), trial.Reward, trial.MMacs, trial.MParams, trial.MemoryMiB,
        trial.KeptImages, trial.KeptIdentities, trial.Loss, trial.Message, trial.Seconds, trial.Attempts));

    public void SetNote(string key, string value) =>
        Locked(() => Execute("INSERT OR REPLACE INTO note VALUES ($0, $1)", key, value));

    public void SetTarget(double mmacs) => Locked(() => Execute("UPDATE study SET target = $0", mmacs));

    /// <summary>Replaces the settings, for a study that goes on with more trials.</summary>
    public void SetSettings(SearchSettings settings) =>
        Locked(() => Execute("UPDATE study SET settings = $0", Json(SettingsSource.ToText(settings))));

    public void SetAudit(IEnumerable<AuditEntry> entries) => Locked(() =>
    {
        using var transaction = connection.BeginTransaction();
        Execute("DELETE FROM audit");
        foreach (var e in entries)
            Execute("INSERT INTO audit VALUES ($0, $1, $2, $3)", e.Image, e.Identity, e.Done, e.Similarity);
        transaction.Commit();
        return 0;
    });

    public void Dispose()
    {
        connection.Dispose();
        writer?.Dispose();
    }

    IReadOnlyList<Trial> Read(string where) => Locked(() =>
    {
        using var command = Command(
            $"""
            SELECT number, origin, state, actions, log_probabilities, probabilities, scores, reward, mmacs, mparams,
                memory_mib, kept_images, kept_identities, loss, message, seconds, attempts FROM trial {where} ORDER BY number
            """);
        using var reader = command.ExecuteReader();
        var trials = new List<Trial>();
        while (reader.Read())
            trials.Add(new()
            {
                Number = reader.GetInt32(0),
                Origin = Enum.Parse<TrialOrigin>(reader.GetString(1)),
                State = Enum.Parse<TrialState>(reader.GetString(2)),
                Actions = Json<int[]>(reader.GetString(3)),
                LogProbabilities = Json<double[]>(reader.GetString(4)),
                Probabilities = Json<double[][]>(reader.GetString(5)),
                Scores = Json<double[]>(reader.GetString(6)),
                Reward = Number(reader, 7),
                MMacs = reader.GetDouble(8),
                MParams = reader.GetDouble(9),
                MemoryMiB = reader.GetDouble(10),
                KeptImages = reader.GetInt32(11),
                KeptIdentities = reader.GetInt32(12),
                Loss = Number(reader, 13),
                Message = reader.GetString(14),
                Seconds = reader.GetDouble(15),
                Attempts = reader.GetInt32(16),
            });
        return trials;
    });

    /// SQLite has no NaN; a score that is missing is NULL there.
    static double Number(SqliteDataReader reader, int column) => reader.IsDBNull(column) ? double.NaN : reader.GetDouble(column);

    internal SqliteCommand Command(string text, params object[] values)
    {
        var command = connection.CreateCommand();
        command.CommandText = text;
        for (int i = 0; i < values.Length; i++)
            command.Parameters.AddWithValue("$" + i, values[i] is double.NaN ? DBNull.Value : values[i]);
        return command;
    }

    /// Statements are closed at once: one that waits for the collector keeps a closed file open, and SQLite then refuses the
    /// file that has been given its name.
    internal int Execute(string text, params object[] values)
    {
        using var command = Command(text, values);
        return command.ExecuteNonQuery();
    }

    T Locked<T>(Func<T> action)
    {
        lock (gate)
        {
            try { return action(); }
            catch (SqliteException e) { throw Explain(File, e); }
            catch (Exception e) when (e is JsonException or ArgumentException or FormatException or InvalidCastException) { throw new InputException(Damaged(File, e), e); }
        }
    }

    static readonly JsonSerializerOptions Options = new()
    {
        NumberHandling = System.Text.Json.Serialization.JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    static string Json<T>(T value) => JsonSerializer.Serialize(value, Options);
    static T Json<T>(string text) => JsonSerializer.Deserialize<T>(text, Options)!;
}
