using System.Globalization;
using System.Net;

namespace FaceSearch.Search;

/// <summary>
/// Markup that is safe to put into a page: what stands in the holes of an interpolated string is escaped, unless it
/// is markup itself.
/// </summary>
readonly record struct Html(string Markup)
{
    public static readonly Html None = new("");

    public static Html Of(FormattableString text) => new(string.Format(Escape.All, text.Format, text.GetArguments()));

    public static Html Join(params IEnumerable<Html> parts) => new(string.Concat(parts.Select(p => p.Markup)));

    /// <summary>A table; figures and whole numbers stand right.</summary>
    public static Html Table(string[] head, IEnumerable<object[]> rows) => Of(
        $"""
        <div class="scroll"><table><thead><tr>{Join(head.Select(h => Of($"<th>{h}</th>")))}</tr></thead>
        <tbody>{Join(rows.Select(row => Of($"<tr>{Join(row.Select(Cell))}</tr>\n")))}</tbody></table></div>

        """);

    static Html Cell(object cell) => cell is Figure or int ? Of($"<td class=\"figure\">{cell}</td>") : Of($"<td>{cell}</td>");

    public override string ToString() => Markup;

    sealed class Escape : IFormatProvider, ICustomFormatter
    {
        public static readonly Escape All = new();

        public object? GetFormat(Type? type) => type == typeof(ICustomFormatter) ? this : null;

        public string Format(string? format, object? value, IFormatProvider? provider) => value switch
        {
            Html html => html.Markup,
            IFormattable number => WebUtility.HtmlEncode(number.ToString(format, CultureInfo.InvariantCulture)),
            _ => WebUtility.HtmlEncode(value?.ToString() ?? ""),
        };
    }
}

/// <summary>A number as the report shows it; a missing one is a dash.</summary>
readonly record struct Figure(double Value, string Format = "0.##")
{
    public override string ToString() => double.IsFinite(Value) ? Value.ToString(Format, CultureInfo.InvariantCulture) : "–";

    public static Figure Score(double value) => new(value, "0.0000");
    public static Figure Percent(double share) => new(100 * share, "0.00' %'");
    public static Figure Points(double share) => new(100 * share, "+0.00' points';-0.00' points'");
}
