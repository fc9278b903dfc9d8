using System.Globalization;

namespace FaceSearch.Recognition.Data;

/// <summary>
/// People to train on: plain names, one a line, or LFW's people format: the number of sets (left out where there is
/// one), then for each set its number of people and lines `name⇥images`.
/// </summary>
public static class PeopleList
{
    /// <summary>Names in the order of the list. <paramref name="sets"/> such as `1-4` or `1,3` chooses sets; empty = all.</summary>
    public static List<string> Read(string path, string sets = "")
    {
        var lines = new TextList(path, "people list");
        if (lines.Peek() is null) throw new InputException($"{path}: the people list is empty; expected one name a line or LFW's people format");
        bool plain = !IsNumber(lines.Peek());
        if (plain)
        {
            if (sets.Length > 0) throw new InputException($"Data.PeopleSets: '{sets}', but '{path}' is a plain list of names without sets; leave it empty");
            return ReadNames(lines, int.MaxValue);
        }
        int count = 1;
        if (IsNumber(lines.Peek(1))) count = lines.Number(lines.Next("the number of sets")[0], "the number of sets");
        var chosen = ParseSets(sets, count, path);
        var names = new List<string>();
        for (int set = 1; set <= count; set++)
        {
            var expected = $"the number of people in set {set} of {count}";
            int people = lines.Number(lines.Next(expected)[0], expected);
            var read = ReadNames(lines, people);
            if (read.Count < people) throw new InputException($"{path}:{lines.Line}: the list ends after {read.Count} of {people} people of set {set}");
            if (chosen.Contains(set)) names.AddRange(read);
        }
        if (lines.More) { lines.Whole(); throw lines.Error("the end of the list, as its header promises"); }
        return names;
    }

    static List<string> ReadNames(TextList lines, int most)
    {
        var names = new List<string>();
        while (names.Count < most && lines.More) names.Add(lines.Whole());
        return names;
    }

    static bool IsNumber(string? text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    static HashSet<int> ParseSets(string sets, int count, string path)
    {
        if (sets.Trim().Length == 0) return [.. Enumerable.Range(1, count)];
        var chosen = new HashSet<int>();
        foreach (var part in sets.Split(','))
        {
            var ends = part.Split('-');
            bool right = int.TryParse(ends[0], out int low) & int.TryParse(ends[^1], out int high);
            if (!right || ends.Length > 2 || low < 1 || low > high || high > count)
                throw new InputException($"Data.PeopleSets: '{part}' in '{sets}'; expected sets such as 1-4 or 1,3 within 1 to {count} of '{path}'");
            chosen.UnionWith(Enumerable.Range(low, high - low + 1));
        }
        return chosen;
    }
}
