using System.Globalization;
using System.Net;
using FaceSearch.Tensors;
using ScottPlot;

namespace FaceSearch.Cli;

/// The numbers beside the discs and the key that explains them.
sealed partial class Roofline
{
    const int RateColumn = Width - 136, RoofColumn = Width - 72, ShareColumn = Width - 8;
    const int Named = 24;
    const string Halo = "stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\"";

    /// A number beside (or in) each of the first discs, where it covers no other number.
    void Numbers()
    {
        // The words on the roof stay free.
        const float wordsOfRoof = 220, wordsHeight = 22;
        float roof = (float)Y(profile.Roof.Peak), right = Width - Padding.Right;
        List<PixelRect> taken = [new(right - wordsOfRoof, right, roof, roof - wordsHeight)];
        foreach (var (row, i) in rows.Take(Named).Select((row, i) => (row, i)))
        {
            float x = (float)X(row.Intensity), y = (float)Y(row.FlopRate), radius = Radius(row);
            var at = Places(x, y, radius).FirstOrDefault(p => IsFree(Box(p, i), taken), new Pixel(x, y));
            taken.Add(Box(at, i));
            if (Math.Abs(at.X - x) + Math.Abs(at.Y - y) > radius + 14)
                text.AppendLine(CultureInfo.InvariantCulture, $"<line x1=\"{x:0.#}\" y1=\"{y:0.#}\" x2=\"{at.X:0.#}\" y2=\"{at.Y:0.#}\" stroke=\"{ColorOf(row).ToHex()}\" stroke-width=\"0.8\"/>");
            text.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{at.X:0.#}\" y=\"{at.Y + 4:0.#}\" text-anchor=\"middle\" font-weight=\"600\" {Halo}>{i + 1}</text>");
        }
    }

    /// The disc's middle if the number fits in, then rings around it.
    static IEnumerable<Pixel> Places(float x, float y, float radius)
    {
        const int directions = 16;
        if (radius > 9) yield return new(x, y);
        for (float distance = radius + 8; distance < radius + 120; distance += 9)
            for (int i = 0; i < directions; i++)
            {
                double angle = 2 * Math.PI * i / directions;
                yield return new(x + distance * (float)Math.Cos(angle), y - distance * (float)Math.Sin(angle));
            }
    }

    static PixelRect Box(Pixel middle, int number)
    {
        float half = number + 1 < 10 ? 5 : 9;
        return new(middle.X - half, middle.X + half, middle.Y + 7, middle.Y - 7);
    }

    bool IsFree(PixelRect box, List<PixelRect> taken) =>
        box.Left > Padding.Left && box.Right < Width - Padding.Right && box.Top > Padding.Top && box.Bottom < Height - Padding.Bottom
        && taken.TrueForAll(t => box.Right < t.Left || box.Left > t.Right || box.Bottom < t.Top || box.Top > t.Bottom);

    void Key()
    {
        int line = 0;
        Entry(line++, "", Other, "", "GF/s", "% of roof", "% of step");
        foreach (var (row, i) in rows.Take(Named).Select((row, i) => (row, i)))
            Entry(line++, $"{i + 1}", ColorOf(row), row.Name, Number(row.FlopRate), Percent(row.OfRoof(profile.Roof)), Percent(row.Share));
        if (rows.Length > Named) Entry(line++, "", Other, $"{rows.Length - Named} more, without a number", "", "", Percent(rows.Skip(Named).Sum(r => r.Share)));
        if (without.Length > 0) Entry(line, "", Other, $"{without.Length} not drawn, without flops or bytes: {Names(without)}", "", "", Percent(without.Sum(r => r.Share)));
        foreach (var (color, words, x) in new[] { (Forward, "forward", 0), (Backward, "backward", 80), (Other, "other", 168) })
            text.AppendLine(CultureInfo.InvariantCulture, $"<circle cx=\"{KeyLeft + x + 8}\" cy=\"{Height - 28}\" r=\"6\" fill=\"{color.ToHex()}\" fill-opacity=\"0.55\"/><text x=\"{KeyLeft + x + 20}\" y=\"{Height - 24}\">{words}</text>");
        Text(KeyLeft + 232, Height - 24, "larger: more of the step", "start");
        Text(KeyLeft + 2, Height - 8, "above a roof: data came from a cache, or fewer operations do than are counted", "start");
    }

    static string Names(ProfileRow[] rows)
    {
        const int most = 3;
        var names = rows.Select(r => r.Op).Distinct().ToArray();
        return string.Join(", ", names.Take(most)) + (names.Length > most ? ", …" : "");
    }

    void Entry(int line, string number, Color color, string name, string rate, string ofRoof, string share)
    {
        int y = KeyTop + line * KeyLine - KeyLine;
        if (number.Length > 0)
            text.AppendLine(CultureInfo.InvariantCulture, $"<circle cx=\"{KeyLeft + 8}\" cy=\"{y - 4}\" r=\"9\" fill=\"{color.ToHex()}\" fill-opacity=\"0.25\"/>");
        Text(KeyLeft + 8, y, number, "middle");
        text.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{KeyLeft + 23}\" y=\"{y}\" font-size=\"11\">{Escaped(name)}</text>");
        foreach (var (words, x) in new[] { (rate, RateColumn), (ofRoof, RoofColumn), (share, ShareColumn) }) Text(x, y, words, "end");
    }

    void Text(double x, double y, string words, string anchor)
    {
        if (words.Length == 0) return;
        text.AppendLine(CultureInfo.InvariantCulture, $"<text x=\"{x:0.#}\" y=\"{y:0.#}\" text-anchor=\"{anchor}\">{Escaped(words)}</text>");
    }

    static string Escaped(string words) => WebUtility.HtmlEncode(words);
    static string Tick(double value) => value.ToString("0.####", CultureInfo.InvariantCulture);
    static string Number(double value) => value.ToString(value < 10 ? "0.0#" : "0", CultureInfo.InvariantCulture);
    static string Percent(double share) => (100 * share).ToString("0.0", CultureInfo.InvariantCulture);
}
