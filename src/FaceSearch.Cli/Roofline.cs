using System.Globalization;
using System.Text;
using FaceSearch.Tensors;
using ScottPlot;

namespace FaceSearch.Cli;

/// <summary>
/// The rows of a profile under the machine's roofs (Williams, Waterman, Patterson 2009): GF/s over flops per byte, both
/// logarithmic; the more of the step, the larger the disc. As in the report, ScottPlot draws the data and the text is
/// plain SVG, because ScottPlot's text needs fonts on the machine that writes.
/// </summary>
sealed partial class Roofline
{
    const int Width = 1280, Height = 680, KeyLeft = 800, KeyTop = 40, KeyLine = 22;
    static readonly PixelPadding Padding = new(60, Width - KeyLeft + 26, 46, 24);
    static readonly Color Forward = Color.FromHex("#2563eb"), Backward = Color.FromHex("#d97706"), Other = Color.FromHex("#6b7280"), Ink = Color.FromHex("#1f2937");

    readonly Profile profile;
    readonly string title;
    readonly ProfileRow[] rows, without;
    readonly Plot plot = new();
    readonly AxisLimits limits;
    readonly StringBuilder text = new();

    Roofline(Profile profile, string title)
    {
        (this.profile, this.title) = (profile, title);
        var timed = profile.Rows.Where(r => r.Milliseconds > 0).ToArray();
        rows = [.. timed.Where(r => r.Work is { Flops: > 0, Bytes: > 0 })];
        without = [.. timed.Except(rows)];
        limits = Limits();
    }

    public static string Svg(Profile profile, string title) => new Roofline(profile, title).Draw();

    AxisLimits Limits()
    {
        var (peak, ridge) = (profile.Roof.Peak, profile.Roof.Ridge);
        double left = rows.Select(r => r.Intensity).Append(ridge / 30).Min(), right = rows.Select(r => r.Intensity).Append(ridge * 8).Max();
        double low = rows.Select(r => r.FlopRate).Append(peak / 30).Min(), high = rows.Select(r => r.FlopRate).Append(peak).Max();
        return new(Math.Log10(left / 1.6), Math.Log10(right * 1.6), Math.Log10(low / 1.8), Math.Log10(high * 1.8));
    }

    string Draw()
    {
        Style();
        Roofs();
        // Small discs are drawn last, so that none hides under a large one.
        foreach (var row in rows) Disc(row);
        Axes();
        Numbers();
        Key();
        return $"""
            <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {Width} {Height}" width="{Width}" height="{Height}" font-family="system-ui, Helvetica, Arial, DejaVu Sans, sans-serif" font-size="12" fill="{Ink.ToHex()}">
            <rect width="{Width}" height="{Height}" fill="#ffffff"/>
            {Drawing()}
            {text}</svg>

            """;
    }

    void Style()
    {
        plot.Axes.Color(Color.FromHex("#6b7280"));
        plot.Grid.MajorLineColor = Color.FromHex("#e5e7eb");
        plot.FigureBackground.Color = plot.DataBackground.Color = Colors.Transparent;
        plot.Axes.Right.IsVisible = plot.Axes.Top.IsVisible = false;
        plot.Layout.Fixed(Padding);
        plot.Axes.SetLimits(limits);
    }

    void Roofs()
    {
        var roof = profile.Roof;
        double left = Math.Pow(10, limits.Left), right = Math.Pow(10, limits.Right);
        Line(left, roof.At(left), roof.Ridge, roof.Peak);
        Line(roof.Ridge, roof.Peak, right, roof.Peak);
        text.AppendLine(CultureInfo.InvariantCulture,
            $"<text x=\"{X(right) - 4:0.#}\" y=\"{Y(roof.Peak) - 7:0.#}\" text-anchor=\"end\" {Halo}>{Number(roof.Peak)} GF/s: multiply-adds without memory</text>");
        double slope = Math.Atan2(Y(roof.At(left)) - Y(roof.Peak), X(roof.Ridge) - X(left)) * 180 / Math.PI;
        double start = Math.Max(left, Math.Pow(10, limits.Bottom) / roof.Bandwidth) * 1.3;
        text.AppendLine(CultureInfo.InvariantCulture,
            $"<text transform=\"translate({X(start):0.#} {Y(start * roof.Bandwidth):0.#}) rotate({-slope:0.#})\" y=\"-8\" {Halo}>{Number(roof.Bandwidth)} GB/s: copying memory</text>");
    }

    void Line(double x1, double y1, double x2, double y2)
    {
        var line = plot.Add.Line(Math.Log10(x1), Math.Log10(y1), Math.Log10(x2), Math.Log10(y2));
        (line.LineColor, line.LineWidth) = (Ink, 2);
    }

    void Disc(ProfileRow row)
    {
        var marker = plot.Add.Marker(Math.Log10(row.Intensity), Math.Log10(row.FlopRate), MarkerShape.FilledCircle, 2 * Radius(row), ColorOf(row).WithAlpha(0.55));
        (marker.MarkerLineColor, marker.MarkerLineWidth) = (Colors.White, 1);
        // What a reader's pointer shows.
        text.AppendLine(CultureInfo.InvariantCulture,
            $"<circle cx=\"{X(row.Intensity):0.#}\" cy=\"{Y(row.FlopRate):0.#}\" r=\"{Radius(row):0.#}\" fill=\"transparent\"><title>{Escaped(row.Name)}: {Number(row.FlopRate)} GF/s = {Percent(row.OfRoof(profile.Roof))} % of its roof, {Percent(row.Share)} % of the step, {Number(row.Intensity)} flop/B, {Number(row.ByteRate)} GB/s</title></circle>");
    }

    static float Radius(ProfileRow row) => (float)(4 + 36 * Math.Sqrt(row.Share));

    static Color ColorOf(ProfileRow row) => row.Direction switch
    {
        Direction.Forward => Forward,
        Direction.Backward => Backward,
        _ => Other,
    };

    void Axes()
    {
        var columns = Ticks(limits.Left, limits.Right);
        var lines = Ticks(limits.Bottom, limits.Top);
        plot.Axes.Bottom.SetTicks([.. columns.Select(Math.Log10)], [.. columns.Select(_ => "")]);
        plot.Axes.Left.SetTicks([.. lines.Select(Math.Log10)], [.. lines.Select(_ => "")]);
        foreach (double x in columns) Text(X(x), Height - Padding.Bottom + 20, Tick(x), "middle");
        foreach (double y in lines) Text(Padding.Left - 9, Y(y) + 4, Tick(y), "end");
        Text((Padding.Left + Width - Padding.Right) / 2, Height - 8, "floating-point operations for each byte moved, by the cost model", "middle");
        text.AppendLine(CultureInfo.InvariantCulture, $"<text transform=\"translate(14 {(Height - Padding.Bottom) / 2:0}) rotate(-90)\" text-anchor=\"middle\">GF/s</text>");
        Text(Padding.Left, 15, title, "start");
    }

    /// 1, 2 and 5 times powers of ten; powers alone where those would crowd.
    static double[] Ticks(double low, double high)
    {
        double[] factors = high - low > 3.5 ? [1] : [1, 2, 5];
        return [.. Enumerable.Range((int)Math.Floor(low), (int)Math.Ceiling(high) - (int)Math.Floor(low) + 1)
            .SelectMany(power => factors.Select(f => f * Math.Pow(10, power))).Where(v => Math.Log10(v) >= low && Math.Log10(v) <= high)];
    }

    /// What stands inside ScottPlot's svg element.
    string Drawing()
    {
        var svg = plot.GetSvgXml(Width, Height);
        int start = svg.IndexOf('>', svg.IndexOf("<svg", StringComparison.Ordinal)) + 1;
        return svg[start..svg.LastIndexOf("</svg>", StringComparison.Ordinal)];
    }

    double X(double intensity) => Padding.Left + (Math.Log10(intensity) - limits.Left) / (limits.Right - limits.Left) * (Width - Padding.Left - Padding.Right);
    double Y(double rate) => Padding.Top + (limits.Top - Math.Log10(rate)) / (limits.Top - limits.Bottom) * (Height - Padding.Top - Padding.Bottom);
}
