using System.Globalization;
using System.Text.RegularExpressions;
using ScottPlot;

namespace FaceSearch.Search;

/// <summary>
/// A plot of the report. ScottPlot draws the data; all text is set here as plain SVG and HTML text in the reader's own
/// fonts, because ScottPlot's text needs fonts on the machine that writes (containers have none) and would differ
/// from machine to machine.
/// </summary>
/// <param name="name">Unique in the page.</param>
/// <param name="width">Of the drawing, in pixels of its text; the page stretches it.</param>
/// <param name="height">Likewise.</param>
/// <param name="bottom">Title of the horizontal axis.</param>
/// <param name="left">Title of the vertical axis.</param>
sealed partial class Chart(string name, int width, int height, string bottom, string left)
{
    public static readonly Color Ink = Color.FromHex("#1f2937"), Quiet = Color.FromHex("#9ca3af"), Blue = Color.FromHex("#2563eb"),
        Amber = Color.FromHex("#d97706"), Red = Color.FromHex("#b91c1c"), Green = Color.FromHex("#15803d"), Violet = Color.FromHex("#7c3aed");

    const float TickSize = 5;
    static readonly PixelPadding Padding = new(66, 14, 46, 10);
    readonly List<Html> cells = [], key = [];
    (double At, string Label)[]? rows;

    public Plot Plot { get; } = Styled();

    /// <summary>Explains a colour and sign below the plot.</summary>
    public void Key(string sign, Color color, string words) =>
        key.Add(Html.Of($"<span><b style=\"color:{color.ToHex()}\">{sign}</b> {words}</span>\n"));

    /// <summary>Filled rectangles of one colour behind the data.</summary>
    public void Cells(Color color, IEnumerable<CoordinateRect> rectangles)
    {
        var limits = Plot.Axes.GetLimits();
        var path = string.Concat(rectangles.Select(r => string.Create(CultureInfo.InvariantCulture,
            $"M{X(limits, r.Left):0.#} {Y(limits, r.Top):0.#}H{X(limits, r.Right):0.#}V{Y(limits, r.Bottom):0.#}H{X(limits, r.Left):0.#}Z")));
        cells.Add(Html.Of($"<path shape-rendering=\"crispEdges\" fill=\"{color.ToHex()}\" d=\"{path}\"/>\n"));
    }

    /// <summary>Names in the place of the vertical axis' numbers.</summary>
    public void Rows(IEnumerable<string> labels) => rows = [.. labels.Select((label, i) => ((double)i, label))];

    /// <summary>The plot as a figure that is as wide as its place.</summary>
    public Html Figure(Html caption)
    {
        if (!Plot.Axes.LimitsHaveBeenSet) Plot.Axes.AutoScale();
        var limits = Plot.Axes.GetLimits();
        var columns = Ticks(limits.Left, limits.Right, width / 90);
        var lines = rows ?? Ticks(limits.Bottom, limits.Top, height / 55);
        Plot.Axes.Bottom.SetTicks([.. columns.Select(t => t.At)], [.. columns.Select(_ => "")]);
        Plot.Axes.Left.SetTicks([.. lines.Select(t => t.At)], [.. lines.Select(_ => "")]);
        return Html.Of(
            $"""
            <figure><div class="scroll"><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}" role="img">
            <title>{name}</title>
            {Html.Join(cells)}{Drawing()}{Text(limits, columns, lines)}</svg></div>
            <div class="key">{Html.Join(key)}</div><figcaption>{caption}</figcaption></figure>

            """);
    }

    Html Text(AxisLimits limits, (double At, string Label)[] columns, (double At, string Label)[] lines)
    {
        double floor = height - Padding.Bottom, side = Padding.Left - TickSize - 3;
        return Html.Of(
            $"""
            <g class="text">
            {Html.Join(columns.Select(t => Html.Of($"<text x=\"{X(limits, t.At):0.#}\" y=\"{floor + 18:0.#}\" text-anchor=\"middle\">{t.Label}</text>\n")))}
            {Html.Join(lines.Select(t => Html.Of($"<text x=\"{side:0.#}\" y=\"{Y(limits, t.At) + 4:0.#}\" text-anchor=\"end\">{t.Label}</text>\n")))}
            <text x="{(Padding.Left + width - Padding.Right) / 2:0.#}" y="{height - 8}" text-anchor="middle">{bottom}</text>
            <text transform="translate(14 {floor / 2:0.#}) rotate(-90)" text-anchor="middle">{left}</text>
            </g>
            """);
    }

    double X(AxisLimits limits, double x) => Padding.Left + (x - limits.Left) / (limits.Right - limits.Left) * (width - Padding.Left - Padding.Right);
    double Y(AxisLimits limits, double y) => Padding.Top + (limits.Top - y) / (limits.Top - limits.Bottom) * (height - Padding.Top - Padding.Bottom);

    /// What stands inside ScottPlot's svg element, with the names of clip paths made unique in the page and independent
    /// of what was drawn before.
    Html Drawing()
    {
        var svg = Plot.GetSvgXml(width, height);
        int start = svg.IndexOf('>', svg.IndexOf("<svg", StringComparison.Ordinal)) + 1;
        var names = new Dictionary<string, int>();
        return new(Reference().Replace(svg[start..svg.LastIndexOf("</svg>", StringComparison.Ordinal)], match =>
        {
            names.TryAdd(match.Groups[2].Value, names.Count);
            return $"{match.Groups[1].Value}{name}-{names[match.Groups[2].Value]}";
        }));
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    static (double At, string Label)[] Ticks(double low, double high, int most)
    {
        double raw = (high - low) / Math.Max(2, most), power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * new[] { 1, 2, 5, 10 }.First(factor => factor * power >= raw);
        string format = "F" + Math.Max(0, (int)-Math.Floor(Math.Log10(step) + 1e-9));
        int first = (int)Math.Ceiling(low / step - 1e-9), last = (int)Math.Floor(high / step + 1e-9);
        return [.. Enumerable.Range(first, last - first + 1).Select(i => (i * step, (i * step).ToString(format, CultureInfo.InvariantCulture)))];
    }

    static Plot Styled()
    {
        var plot = new Plot();
        plot.Axes.Color(Color.FromHex("#6b7280"));
        plot.Grid.MajorLineColor = Color.FromHex("#e5e7eb");
        plot.FigureBackground.Color = plot.DataBackground.Color = Colors.Transparent;
        plot.Axes.Right.IsVisible = plot.Axes.Top.IsVisible = false;
        plot.Layout.Fixed(Padding);
        return plot;
    }

    [GeneratedRegex("(\\bid=\"|url\\(#|href=\"#)([^\")]+)")]
    private static partial Regex Reference();
}
