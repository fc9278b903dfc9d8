using System.Globalization;

namespace FaceSearch.Recognition.Data;

/// <summary>The non-empty lines of a list, split at tabs or, without any, at blanks; errors name file and line.</summary>
sealed class TextList
{
    readonly string path;
    readonly (string Text, int Line)[] lines;
    int next;

    public TextList(string path, string what)
    {
        this.path = path;
        try
        {
            lines = [.. File.ReadAllLines(path).Select((text, i) => (text.Trim(), i + 1)).Where(l => l.Item1.Length > 0)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{what} '{path}' cannot be read: {(e is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : e.Message)}", e);
        }
    }

    public bool More => next < lines.Length;
    public int Line => next > 0 ? lines[next - 1].Line : 1;

    public string[] Next(string expected)
    {
        if (!More) throw new InputException($"{path}:{Line}: the list ends here; expected {expected}");
        var text = lines[next++].Text;
        return text.Contains('\t') ? text.Split('\t', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            : text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>The next line as it stands, without moving on; null at the end.</summary>
    public string? Peek(int ahead = 0) => next + ahead < lines.Length ? lines[next + ahead].Text : null;

    public string Whole() => lines[next++].Text.Split('\t')[0].Trim();

    public int Number(string field, string expected) =>
        int.TryParse(field, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n > 0 ? n : throw Error(expected);

    public InputException Error(string expected) => new($"{path}:{Line}: '{(next > 0 ? lines[next - 1].Text : "")}'; expected {expected}");
}
