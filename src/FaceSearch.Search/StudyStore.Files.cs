using FaceSearch.Recognition;
using Microsoft.Data.Sqlite;

namespace FaceSearch.Search;

/// Making, opening, locking and listing study files.
public sealed partial class StudyStore
{
    const string Schema =
        """
        CREATE TABLE study (name TEXT NOT NULL, settings TEXT NOT NULL, space TEXT NOT NULL, enqueued TEXT NOT NULL,
            command TEXT NOT NULL, commit_id TEXT NOT NULL, created TEXT NOT NULL, target REAL NOT NULL);
        CREATE TABLE trial (number INTEGER PRIMARY KEY, origin TEXT NOT NULL, state TEXT NOT NULL, actions TEXT NOT NULL,
            log_probabilities TEXT NOT NULL, probabilities TEXT NOT NULL, scores TEXT NOT NULL, reward REAL,
            mmacs REAL NOT NULL, mparams REAL NOT NULL, memory_mib REAL NOT NULL, kept_images INTEGER NOT NULL,
            kept_identities INTEGER NOT NULL, loss REAL, message TEXT NOT NULL, seconds REAL NOT NULL, attempts INTEGER NOT NULL);
        CREATE TABLE audit (image TEXT NOT NULL, identity TEXT NOT NULL, done TEXT NOT NULL, similarity REAL);
        CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        """;

    /// <summary>Makes the file of a new study and holds it for writing.</summary>
    /// <param name="enqueued">Known designs (actions) to try first.</param>
    /// <exception cref="InputException">The file exists, or cannot be written.</exception>
    public static StudyStore Create(
        string file, SearchSettings settings, Space space, int[][]? enqueued = null, string command = "", string commit = "")
    {
        foreach (var actions in enqueued ?? []) space.Describe(actions);
        if (Exists(file))
            throw new InputException($"{file} exists already: go on with --resume, or choose another --set Study.Name");
        var writer = LockFile(file);
        StudyStore? store = null;
        try
        {
            store = new StudyStore(file, Connect(file, SqliteOpenMode.ReadWriteCreate), writer);
            store.Locked(() => store.Execute("PRAGMA journal_mode = WAL"));
            store.Locked(() => store.Execute(
                $"""
                BEGIN; PRAGMA application_id = {ApplicationId}; PRAGMA user_version = {FormatVersion}; {Schema}
                INSERT INTO study VALUES ($0, $1, $2, $3, $4, $5, $6, 0); COMMIT
                """,
                settings.Study.Name, Json(SettingsSource.ToText(settings)), Json(space),
                Json(enqueued ?? []), command, commit, Json(DateTimeOffset.UtcNow)));
            return store;
        }
        catch
        {
            store?.Dispose();
            writer.Dispose();
            throw;
        }
    }

    /// <summary>There is a study in this file. One whose making was cut short by a kill is none.</summary>
    public static bool Exists(string file)
    {
        if (!System.IO.File.Exists(file)) return false;
        try
        {
            using var connection = Connect(file, SqliteOpenMode.ReadOnly);
            using var tables = connection.CreateCommand();
            tables.CommandText = "SELECT count(*) FROM sqlite_master";
            return (long)tables.ExecuteScalar()! > 0;
        }
        catch (Exception e) when (e is SqliteException or InputException)
        {
            return true;
        }
    }

    /// <summary>Opens a study to go on with it; refused while another process holds it.</summary>
    public static StudyStore Open(string file)
    {
        MustExist(file);
        var writer = LockFile(file);
        try { return Opened(file, SqliteOpenMode.ReadWrite, writer); }
        catch
        {
            writer.Dispose();
            throw;
        }
    }

    /// <summary>Opens a study to look at, also while it runs.</summary>
    public static StudyStore OpenRead(string file)
    {
        MustExist(file);
        return Opened(file, SqliteOpenMode.ReadOnly, null);
    }

    /// <summary>The study files of a folder by name; none where there is no such folder.</summary>
    public static IReadOnlyList<string> List(string folder) =>
        Directory.Exists(folder) ? [.. Directory.GetFiles(folder, "*" + Extension).Order(StringComparer.Ordinal)] : [];

    static StudyStore Opened(string file, SqliteOpenMode mode, FileStream? writer)
    {
        var store = new StudyStore(file, Connect(file, mode), writer);
        try
        {
            long id = store.Locked(() => store.Pragma("application_id"));
            long version = store.Locked(() => store.Pragma("user_version"));
            if (id != ApplicationId) throw new InputException($"{file} is a database, but not a study of facesearch");
            if (version != FormatVersion)
                throw new InputException($"{file} has study format {version}; this program reads format {FormatVersion}: use the program that wrote it, or start a new study");
            return store;
        }
        catch
        {
            store.connection.Dispose();
            throw;
        }
    }

    long Pragma(string name)
    {
        using var command = Command($"PRAGMA {name}");
        return (long)command.ExecuteScalar()!;
    }

    static SqliteConnection Connect(string file, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = file,
            Mode = mode,
            Pooling = false,
            DefaultTimeout = 10,
        }.ToString());
        try { connection.Open(); }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw Explain(file, e);
        }
        return connection;
    }

    /// The operating system drops the lock with the process, however it ends.
    static FileStream LockFile(string file)
    {
        try
        {
            if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder) Directory.CreateDirectory(folder);
            return new FileStream(file + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (System.IO.File.Exists(file + ".lock"))
        {
            throw new InputException($"{file} is being written by another process: wait for it, stop it, or choose another --set Study.Name", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{file} cannot be written: {e.Message}", e);
        }
    }

    static void MustExist(string file)
    {
        if (!Exists(file)) throw new InputException($"no study {file} (facesearch study list shows those there are)");
    }

    static InputException Explain(string file, SqliteException e) => new(e.SqliteErrorCode switch
    {
        13 => $"{file}: the disk is full; free some space, then go on with --resume",
        8 or 14 => $"{file} cannot be opened or written; check its folder's permissions",
        5 or 6 => $"{file} is locked by another program; close it and try again",
        10 => $"{file} cannot be read or written ({e.Message}): is the disk full or broken? Free some space, then try again",
        11 => Damaged(file, e),
        26 => $"{file} is not a study: it is no SQLite database",
        _ => $"{file}: {e.Message}",
    }, e);

    static string Damaged(string file, Exception e) => $"{file} is damaged ({e.Message}); put back a copy of it, or start a new study";
}
