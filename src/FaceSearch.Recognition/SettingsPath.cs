using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;

namespace FaceSearch.Recognition;

/// <summary>Documents a setting: its meaning in a line and, for numbers, its range (inclusive).</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SettingAttribute(string help, double min = double.NaN, double max = double.NaN) : Attribute
{
    public string Help => help;
    public double Min => min;
    public double Max => max;
}

/// <summary>An input the user can put right: what, where, expected, how to fix. Shown without a stack trace.</summary>
public sealed class InputException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Dotted paths into nested records of settings: read, change, list, check. Case does not matter.</summary>
public static class SettingsPath
{
    /// <summary>One setting: where it stands, what it means, what it holds.</summary>
    public sealed record Entry(string Path, Type Type, string Help, double Min, double Max, object Value);

    static readonly ConcurrentDictionary<Type, PropertyInfo[]> Known = new();

    /// <summary>All settings below <paramref name="record"/>, in the order of declaration.</summary>
    public static IEnumerable<Entry> All(object record, string prefix = "")
    {
        foreach (var p in Properties(record.GetType()))
        {
            var value = p.GetValue(record)!;
            if (p.GetCustomAttribute<SettingAttribute>() is { } s)
                yield return new(prefix + p.Name, p.PropertyType, s.Help, s.Min, s.Max, value);
            else
                foreach (var entry in All(value, prefix + p.Name + ".")) yield return entry;
        }
    }

    /// <summary>The record with one path changed. Throws <see cref="InputException"/> naming the nearest right paths or the range.</summary>
    public static T With<T>(this T record, string path, object value) where T : notnull =>
        (T)With(record, record, path, path.Split('.'), value);

    /// <summary>The value at a path.</summary>
    public static object Get(object record, string path) => Find(record, path).Value;

    static Entry Find(object root, string path) =>
        All(root).FirstOrDefault(e => e.Path.Equals(path, StringComparison.OrdinalIgnoreCase)) ?? throw Unknown(root, path);

    static object With(object root, object record, string whole, ReadOnlySpan<string> path, object value)
    {
        var name = path[0];
        var property = Properties(record.GetType()).FirstOrDefault(p => p.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
        bool leaf = property?.GetCustomAttribute<SettingAttribute>() is not null;
        if (property is null || leaf != (path.Length == 1)) throw Unknown(root, whole);
        var copy = record.GetType().GetMethod("<Clone>$")!.Invoke(record, null)!;
        property.SetValue(copy, leaf ? Parse(property, whole, value) : With(root, property.GetValue(record)!, whole, path[1..], value));
        return copy;
    }

    static object Parse(PropertyInfo property, string path, object value)
    {
        var text = Convert.ToString(value, CultureInfo.InvariantCulture)!;
        var setting = property.GetCustomAttribute<SettingAttribute>()!;
        object parsed;
        try
        {
            parsed = Convert.ChangeType(text, property.PropertyType, CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is FormatException or OverflowException)
        {
            var kind = property.PropertyType == typeof(bool) ? "true or false" : property.PropertyType == typeof(int) ? "a whole number" : "a number";
            throw new InputException($"{path}: '{text}' is not {kind} ({setting.Help})");
        }
        if (parsed is double or int && !double.IsNaN(setting.Min))
        {
            double number = Convert.ToDouble(parsed, CultureInfo.InvariantCulture);
            if (!(number >= setting.Min && number <= setting.Max))
                throw new InputException($"{path}: {text} is out of range, expected {setting.Min.ToString(CultureInfo.InvariantCulture)} to {setting.Max.ToString(CultureInfo.InvariantCulture)} ({setting.Help})");
        }
        return parsed;
    }

    static InputException Unknown(object root, string path)
    {
        var near = All(root).Select(e => e.Path).OrderBy(p => Distance(p.ToLowerInvariant(), path.ToLowerInvariant())).Take(3);
        return new($"no setting '{path}'; nearest: {string.Join(", ", near)} (facesearch settings lists all)");
    }

    /// Levenshtein's distance.
    static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
            for (int j = 1, diagonal = row[0]++; j <= b.Length; j++)
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
        return row[^1];
    }

    static PropertyInfo[] Properties(Type type) =>
        Known.GetOrAdd(type, t => t.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.CanWrite).ToArray());
}
