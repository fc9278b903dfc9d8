using System.Globalization;

namespace FaceSearch.Peer;

/// <summary>`name=value` words after the case; a word alone means 1.</summary>
sealed class Options(IEnumerable<string> words)
{
    readonly Dictionary<string, string> values = words.Select(w => w.Split('=', 2)).ToDictionary(w => w[0], w => w.Length > 1 ? w[1] : "1");

    public string Text(string name, string otherwise) => values.GetValueOrDefault(name, otherwise);
    public int Int(string name, int otherwise) => values.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
    public double Number(string name, double otherwise) => values.TryGetValue(name, out var text) ? double.Parse(text, CultureInfo.InvariantCulture) : otherwise;
    public bool Flag(string name, bool otherwise = false) => Int(name, otherwise ? 1 : 0) == 1;
}
