namespace FaceSearch.Recognition;

/// <summary>Files that are either whole or absent, whenever the process or the machine stops.</summary>
static class AtomicFile
{
    /// Writes aside, forces the bytes to the disk and renames. What goes wrong is told with the name of the thing.
    public static void Write(string path, string what, Action<Stream> content)
    {
        var aside = $"{path}.{Environment.ProcessId}.part";
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
            using (var file = new FileStream(aside, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                content(file);
                file.Flush(flushToDisk: true);
            }
            File.Move(aside, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            try { File.Delete(aside); }
            catch (Exception again) when (again is IOException or UnauthorizedAccessException) { }
            throw new InputException($"{path}: {what} cannot be written ({e.Message}): free some space or choose another folder", e);
        }
    }
}
