using FaceSearch.Recognition;
using FaceSearch.Search;

namespace FaceSearch.Cli;

/// <summary>Where studies lie: runs/NAME/NAME.study.</summary>
static class StudyFiles
{
    public static string Folder(string runs, string name) =>
        name.Length > 0 && name.IndexOfAny(Path.GetInvalidFileNameChars()) < 0 && name is not ("." or "..") ? Path.Combine(runs, name)
            : throw new InputException($"Study.Name: '{name}' cannot name a folder; use letters, digits, - and _");

    public static string File(string runs, string name) => Path.Combine(Folder(runs, name), name + StudyStore.Extension);

    /// <summary>The study files below a runs folder, in the order of their names.</summary>
    public static IEnumerable<string> All(string runs) =>
        Directory.Exists(runs) ? Directory.GetDirectories(runs).Prepend(runs).SelectMany(StudyStore.List).Order(StringComparer.Ordinal) : [];

    /// <summary>A study by its name, its file or its run folder.</summary>
    public static string Find(string runs, string study)
    {
        if (System.IO.File.Exists(study)) return study;
        if (Directory.Exists(study) && StudyStore.List(study) is [var only]) return only;
        if (All(runs).FirstOrDefault(f => Path.GetFileNameWithoutExtension(f) == study) is { } file) return file;
        var known = All(runs).Select(f => Path.GetFileNameWithoutExtension(f)!).ToArray();
        throw new InputException($"no study '{study}' in {runs}; " +
            (known.Length == 0 ? "there is none yet, 'facesearch search' makes one, --runs DIR looks elsewhere" : $"there is {string.Join(", ", known)}"));
    }
}
