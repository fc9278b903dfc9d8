using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>A profile for programs: a CSV of its rows and a trace of its spans.</summary>
static class ProfileFiles
{
    // The trace's lines: what is profiled, and what the host does beside it.
    const int Track = 1, Host = 2;
    const string Header = "op,shape,direction,calls,ms,ms_least,ms_mean,share,gflop,mb,gflops,gbs,intensity,of_roof,bound,allocated_bytes,page_faults,kernel";

    /// <summary>One line a row, all figures of one step.</summary>
    public static void WriteCsv(string path, Profile profile) => Write(path, file =>
    {
        using var text = new StreamWriter(file);
        text.Write(Header + "\n");
        foreach (var row in profile.Rows.Append(profile.Gap))
            text.Write(string.Join(',', Cells(row, profile.Roof).Select(cell => string.Create(CultureInfo.InvariantCulture, $"{cell:0.######}"))) + "\n");
    });

    static object[] Cells(ProfileRow r, Roof roof) =>
    [
        r.Op, r.Shape, r.Way, r.Calls, r.Milliseconds, r.Least, r.Mean, r.Share, r.Work.Flops * 1e-9, r.Work.Bytes * 1e-6,
        r.FlopRate, r.ByteRate, r.Intensity, r.OfRoof(roof), roof.Bound(r.Work), r.Allocated, r.Faults, r.Kernel,
    ];

    /// <summary>Trace-event JSON, as ui.perfetto.dev and chrome://tracing open it: sections hold ops; memory in use is a counter track.</summary>
    public static void WriteTrace(string path, IReadOnlyList<ProfileSpan> spans, Roof roof, string device) => Write(path, file =>
    {
        using var json = new Utf8JsonWriter(file, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartObject();
        json.WriteString("displayTimeUnit", "ms");
        json.WriteStartObject("otherData");
        json.WriteString("command", Repeat.Command());
        json.WriteString("commit", Repeat.Commit);
        json.WriteString("device", device);
        json.WriteNumber("peak_gflops", Rounded(roof.Peak));
        json.WriteNumber("bandwidth_gbs", Rounded(roof.Bandwidth));
        json.WriteEndObject();
        json.WriteStartArray("traceEvents");
        Named(json, "process_name", Repeat.Program);
        Named(json, "thread_name", device);
        if (spans.Any(s => s.IsBeside)) Named(json, "thread_name", "host", Host);
        long origin = spans.Count > 0 ? spans[0].Start : 0;
        foreach (var span in spans)
        {
            Complete(json, span, origin, roof);
            if (span.LiveBytes > 0) Counter(json, span, origin);
        }
        json.WriteEndArray();
        json.WriteEndObject();
    });

    static void Named(Utf8JsonWriter json, string what, string name, int track = Track)
    {
        Begin(json, what, "M", track);
        json.WriteStartObject("args");
        json.WriteString("name", name);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    static void Complete(Utf8JsonWriter json, ProfileSpan span, long origin, Roof roof)
    {
        Begin(json, OpText.Name(span), "X", span.IsBeside ? Host : Track);
        json.WriteString("cat", span.Direction == Direction.None ? "section" : span.Direction.ToString().ToLowerInvariant());
        json.WriteNumber("ts", Microseconds(span.Start - origin));
        json.WriteNumber("dur", Microseconds(span.End - span.Start));
        json.WriteStartObject("args");
        if (span.Kernel.Length > 0) json.WriteString("kernel", span.Kernel);
        if (OpText.Shapes(span) is { Length: > 0 } shape) json.WriteString("shape", shape);
        if (span is { Cost: { Bytes: > 0 } cost, Seconds: > 0 and var seconds })
        {
            json.WriteNumber("gflop", cost.Flops * 1e-9);
            json.WriteNumber("mb", cost.Bytes * 1e-6);
            json.WriteNumber("gflops", Rounded(cost.Flops / seconds * 1e-9));
            json.WriteNumber("gbs", Rounded(cost.Bytes / seconds * 1e-9));
            json.WriteNumber("percent_of_roof", Rounded(0.1 * roof.Milliseconds(cost) / seconds));
            json.WriteString("bound", roof.Bound(cost));
        }
        json.WriteNumber("allocated_bytes", span.Allocated);
        json.WriteNumber("page_faults", span.Faults);
        json.WriteNumber("interruptions", span.Interruptions);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    static void Counter(Utf8JsonWriter json, ProfileSpan span, long origin)
    {
        Begin(json, "memory of tensors", "C");
        json.WriteNumber("ts", Microseconds(span.End - origin));
        json.WriteStartObject("args");
        json.WriteNumber("MiB", Rounded(span.LiveBytes / 1048576.0));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    static void Begin(Utf8JsonWriter json, string name, string kind, int track = Track)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("ph", kind);
        json.WriteNumber("pid", 1);
        json.WriteNumber("tid", track);
    }

    // To the nanosecond: the trace's unit is the microsecond.
    static double Microseconds(long ticks) => Math.Round(ticks * 1e6 / Stopwatch.Frequency, 3);

    static double Rounded(double value) => double.IsFinite(value) ? Math.Round(value, 2) : 0;

    public static void Write(string path, Action<Stream> content)
    {
        try
        {
            using var file = File.Create(path);
            content(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new InputException($"{path} cannot be written: {e.Message}", e);
        }
    }
}
