using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using FaceSearch.Cli;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Cli;

public sealed class ProfileTests : IDisposable
{
    // Given, so that no test waits for a measurement or depends on one.
    static readonly string[] Roofs = ["--peak", "200", "--bandwidth", "20"];

    readonly Facesearch program = new();

    /// Ticks of the stopwatch in that many milliseconds.
    static long Ticks(double milliseconds) => (long)(milliseconds * System.Diagnostics.Stopwatch.Frequency / 1000);

    static ProfileSpan Span(string name, Direction direction, int parent, double start, double end, Cost cost = default) =>
        new(name, direction, direction == Direction.None ? null : Shape.Of(8, 4), [], parent, Ticks(start), Ticks(end), cost, 1024, 2, 0, 0);

    /// Three steps of 10, 12 and 20 ms: an op twice in each, a section, and a gap.
    static List<ProfileSpan> ThreeSteps()
    {
        var spans = new List<ProfileSpan>();
        foreach (var (at, slower) in new[] { (0, 0), (100, 2), (200, 10) })
        {
            int step = spans.Count;
            spans.Add(Span(Profile.Step, Direction.None, -1, at, at + 10 + slower));
            spans.Add(Span("forward", Direction.None, step, at, at + 7 + slower));
            spans.Add(Span("relu", Direction.Forward, step + 1, at, at + 2, new(0, 100_000_000, 10_000_000)));
            spans.Add(Span("relu", Direction.Forward, step + 1, at + 3, at + 7 + slower, new(0, 100_000_000, 10_000_000)));
            spans.Add(Span("sgd", Direction.None, step, at + 8 + slower, at + 10 + slower, new(0, 0, 40_000_000)));
        }
        spans.Add(Span("outside", Direction.None, -1, 300, 400));
        return spans;
    }

    [Fact]
    public void RowsAndGapsAreOfAStepAndAddUp()
    {
        var profile = Profile.Of(ThreeSteps(), new(100, 20));
        Assert.Equal(["relu", "sgd"], profile.Rows.Select(r => r.Op));
        var relu = profile.Rows[0];
        Assert.Equal((2, new Cost(0, 200_000_000, 20_000_000)), (relu.Calls, relu.Work));
        Assert.Equal((8, 6, 10), (relu.Milliseconds, relu.Least, relu.Mean));
        Assert.Equal((25, 2.5, 10), (relu.FlopRate, relu.ByteRate, relu.Intensity));
        Assert.Equal((2048, 4), (relu.Allocated, relu.Faults));
        Assert.Equal((12, 2, 12), (profile.Milliseconds, profile.Gap.Milliseconds, profile.Sum), new Near());
        Assert.Equal(1, profile.Rows.Sum(r => r.Share) + profile.Gap.Share, 1e-12);
        Assert.Equal(6, Profile.Of(ThreeSteps(), new(100, 20), least: true).Rows[0].Milliseconds, 1e-9);
    }

    sealed class Near : IEqualityComparer<(double, double, double)>
    {
        public bool Equals((double, double, double) a, (double, double, double) b) =>
            Math.Abs(a.Item1 - b.Item1) + Math.Abs(a.Item2 - b.Item2) + Math.Abs(a.Item3 - b.Item3) < 1e-9;
        public int GetHashCode((double, double, double) of) => 0;
    }

    [Fact]
    public void TheRoofIsTheLowerOfArithmeticAndMemory()
    {
        var roof = new Roof(100, 20);
        Assert.Equal((5, 40, 100), (roof.Ridge, roof.At(2), roof.At(7)));
        Assert.Equal(("compute", "memory", ""), (roof.Bound(new(0, 60, 10)), roof.Bound(new(0, 40, 10)), roof.Bound(default)));
        Assert.Equal(1, roof.Milliseconds(new(0, 100_000_000, 1)), 1e-9);
        Assert.Equal(2, roof.Milliseconds(new(0, 1, 40_000_000)), 1e-9);
    }

    [Fact]
    public void ShapesTellConvolutionsOfTheSameResultApart()
    {
        static string Text(Shape result, params Shape[] inputs)
        {
            var span = new ProfileSpan("op", Direction.Forward, result, inputs, -1, 0, 0, default, 0, 0, 0, 0);
            return $"{OpText.Name(span)}: {OpText.Shapes(span)}";
        }
        Shape x = Shape.Map(64, 32, 28, 28), y = Shape.Map(64, 48, 14, 14);
        Assert.Equal("op 3×3: 64×32×28×28→48 /2", Text(y, x, Shape.Of(48, 32, 3, 3)));
        Assert.Equal("op 1×1: 64×32×28×28→48 /2", Text(y, x, Shape.Of(48, 32, 1, 1)));
        Assert.Equal("op 3×3 depthwise: 64×32×28×28", Text(x, x, Shape.Of(32, 1, 3, 3)));
        Assert.Equal("op 3×3: 64×32×28×28→32 in 4 groups", Text(x, x, Shape.Of(32, 8, 3, 3)));
        Assert.Equal("op: 8×4 · 100×4", Text(Shape.Of(1), Shape.Of(8, 4), Shape.Of(100, 4)));
        Assert.Equal("op: 64×32×28×28", Text(x, x, Shape.Of(32)));
        Assert.Equal("op: 64×32×28×28", Text(x, x, x));
        Assert.Equal("op: 64×32×28×28→64×32×1×1", Text(Shape.Map(64, 32, 1, 1), x));
        Assert.Equal("", OpText.Shapes(Span("sgd", Direction.None, -1, 0, 1)));
    }

    [Fact]
    public void ATrainingIsProfiledOpByOp()
    {
        var end = program.Run(["profile", "train", .. Facesearch.Tiny, .. Roofs, "--identities", "20", "--steps", "3", "--threads", "2", "--top", "1000"]).Ended(0);
        Assert.DoesNotContain('\u001b', end.Out);
        Assert.Matches(@"by op:\nop +direction +calls +ms/step +% step +GF/s +GB/s +flop/B +% roof +bound by +KB +faults\n", end.Out);
        Assert.Matches(@"(?m)^conv2d 3×3 +16×3×16×16→16 /2 +backward +1 +[\d.]+ ", end.Out);
        foreach (var section in (string[])["batch", "input", "sgd"]) Assert.Matches($@"(?m)^{section} +[\d.]+", end.Out);
        Assert.Matches(@"step: median [\d.]+ ms, .* over 3 steps, .* images/s", end.Out);
        Assert.Contains("roof: 200.0 GF/s of 2 threads and 20.0 GB/s", end.Out);
        Assert.Equal("roofline: " + Path.Combine("runs", "profile", "train-1", "roofline.svg"), end.Lines[^1]);

        var table = File.ReadAllLines(program.In("runs/profile/train-1/profile.csv")).Select(l => l.Split(',')).ToArray();
        Assert.All(table, cells => Assert.Equal(table[0].Length, cells.Length));
        Assert.Equal(1, table[1..].Sum(cells => double.Parse(cells[7], System.Globalization.CultureInfo.InvariantCulture)), 1e-4);
        IsRoofline("runs/profile/train-1/roofline.svg");
        IsTrace("runs/profile/train-1/trace.json", steps: 3);
        Assert.Contains("Train.Batch: 16", File.ReadAllText(program.In("runs/profile/train-1/settings.yaml")));
    }

    /// Every event is inside the one that it starts in, and they come in the order of their starts.
    void IsTrace(string path, int steps)
    {
        using var trace = JsonDocument.Parse(File.ReadAllText(program.In(path)));
        var events = trace.RootElement.GetProperty("traceEvents").EnumerateArray().ToArray();
        // On a GPU the host's own work is beside.
        var spans = events.Where(e => e.GetProperty("ph").GetString() == "X" && e.GetProperty("tid").GetInt32() == 1)
            .Select(e => (Name: e.GetProperty("name").GetString(), Start: e.GetProperty("ts").GetDouble(), End: e.GetProperty("ts").GetDouble() + e.GetProperty("dur").GetDouble())).ToArray();
        const double rounding = 2e-3;
        var open = new Stack<double>();
        double last = 0;
        foreach (var (name, start, stop) in spans)
        {
            Assert.True(start >= last, $"{name} at {start} after {last}");
            last = start;
            while (open.TryPeek(out double end) && end <= start + rounding) open.Pop();
            if (open.TryPeek(out double outer)) Assert.True(stop <= outer + rounding, $"{name} ends at {stop} outside of {outer}");
            open.Push(stop);
        }
        Assert.Equal(steps, spans.Count(s => s.Name == "step"));
        Assert.Equal(steps, spans.Count(s => s.Name == "backward"));
        var convolution = events.First(e => e.GetProperty("name").GetString() == "conv2d 3×3");
        Assert.Equal("forward", convolution.GetProperty("cat").GetString());
        foreach (var name in (string[])["shape", "gflop", "mb", "gflops", "gbs", "percent_of_roof", "bound", "allocated_bytes", "page_faults"])
            Assert.True(convolution.GetProperty("args").TryGetProperty(name, out _), name);
        Assert.Contains(events, e => e.GetProperty("ph").GetString() == "C" && e.GetProperty("args").GetProperty("MiB").GetDouble() > 0);
        Assert.Contains("profile train", trace.RootElement.GetProperty("otherData").GetProperty("command").GetString());
    }

    void IsRoofline(string path)
    {
        var svg = XDocument.Load(program.In(path)).Root!;
        Assert.Equal("svg", svg.Name.LocalName);
        var words = svg.Descendants().Where(e => e.Name.LocalName == "text").Select(e => e.Value).ToArray();
        Assert.Contains("200 GF/s: multiply-adds without memory", words);
        Assert.Contains("20 GB/s: copying memory", words);
        Assert.Contains(words, w => w.StartsWith("conv2d 3×3 backward 16×", StringComparison.Ordinal));
        Assert.DoesNotContain(words, w => w.Contains("NaN", StringComparison.Ordinal));
        foreach (var number in (string[])["x", "y", "cx", "cy", "r"])
            Assert.All(svg.Descendants().Attributes(number), a => Assert.True(double.TryParse(a.Value, out double value) && double.IsFinite(value), $"{a}"));
    }

    /// Rows are kernels, by name; together they are the ops, with the ops' work.
    [Fact]
    public void OnAGpuKernelsAreProfiled()
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        string[] train = ["profile", "train", "--identities", "40", .. Facesearch.Tiny, "--steps", "2", .. Roofs];
        var end = program.Run([.. train, "--device", "simulated", "--name", "gpu"]).Ended(0);
        Assert.Contains("by kernel:", end.Out);
        Assert.Contains("beside them, the host: batch ", end.Out);
        program.Run([.. train, "--device", "cpu", "--name", "cpu"]).Ended(0);
        string[][] gpu = Table("gpu"), cpu = Table("cpu");
        Assert.All(gpu[..^1], row => Assert.NotEqual("", row[17]));
        foreach (var kernel in (string[])["BytesCell", "Product<PixelOperand PackedOperand MapResult>", "LogSums", "CosineGradients", "SgdPoint", "ClipFactor"]) Assert.Contains(gpu, row => row[17] == kernel);
        foreach (var row in gpu)
            foreach (var figure in row[3..14]) Assert.True(double.IsFinite(Figure(figure)) && Figure(figure) >= 0, string.Join(',', row));
        // The head's gradients recompute the cosines on a GPU; otherwise the same work.
        foreach (var op in (string[])["conv2d 3×3", "sgd"]) Assert.Equal(Work(cpu, op), Work(gpu, op), 1e-4);
        IsTrace("runs/profile/gpu/trace.json", steps: 2);
        IsRoofline("runs/profile/gpu/roofline.svg");

        string[][] Table(string name) => [.. File.ReadLines(program.In($"runs/profile/{name}/profile.csv")).Skip(1).Select(l => l.Split(','))];
        static double Figure(string text) => double.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
        static double Work(string[][] table, string op) => table.Where(row => row[0] == op).Sum(row => Figure(row[8]));
    }

    [Fact]
    public void GeneratedFacesAreProfiledWhereAskedFor()
    {
        var output = program.Run(["profile", "train", "--data", .. Facesearch.Tiny, .. Roofs, "--steps", "1"]).Ended(0).Out;
        Assert.Contains("faces: ", output);
        Assert.DoesNotContain(" 1000 identities", output);
    }

    [Fact]
    public void AnOpIsProfiledAndComparedWithItself()
    {
        string[] linear = ["profile", "op", "linear", "--shape", "7x33", "--outputs", "5", "--steps", "4", .. Roofs];
        var first = program.Run([.. linear, "--name", "before"]).Ended(0);
        Assert.Equal(2, Regex.Count(first.Out, @"(?m)^linear +7×33 · 5×33 +(forward|backward) "));
        Assert.DoesNotContain("by op:", first.Out);
        var second = program.Run([.. linear, "--least", "--name", "after", "--compare", "before"]).Ended(0);
        Assert.Matches(@"against before: [\d.]+ → [\d.]+ ms a step by least times, × [\d.]+", second.Out);
        Assert.DoesNotContain("rows are only in", second.Out);
        program.Run([.. linear, "--name", "before"]).Refused("before", "--name");
    }

    [Fact]
    public void EveryKnownOpRuns()
    {
        foreach (var op in ProfiledOp.All)
        {
            var size = new OpSize(op.ShapeOf(op.Shape.Length == 4 ? "2x16x6x6" : "4x24"), Outputs: op.Name == "margin_softmax" ? 9 : 0);
            foreach (var gradients in (string[])["all", "input", "weights", "none"])
            {
                using var device = Cpu.Create();
                using var step = new ProfiledStep(device, op, size, gradients);
                var profiler = new Profiler();
                step.Step(profiler);
                step.Step(profiler);
                Assert.Equal(2, profiler.Spans.Count(s => s.Name == Profile.Step));
                if (gradients == "all") Assert.Contains(profiler.Spans, s => s.Direction == Direction.Backward);
                if (gradients == "none") Assert.DoesNotContain(profiler.Spans, s => s.Direction == Direction.Backward);
                Assert.DoesNotContain(profiler.Spans, s => s.Name is "seed" or "input");
            }
        }
    }

    [Fact]
    public void TheHeadIsProfiledByItsSizes()
    {
        var output = program.Run(["profile", "head", "--identities", "50", "--batch", "6", "--dimension", "16", "--steps", "2", "--recompute", .. Roofs]).Ended(0).Out;
        Assert.Matches(@"(?m)^margin softmax +6×16 · 50×16 +backward ", output);
        Assert.Contains(Path.Combine("runs", "profile", "head-1", "trace.json"), output);
        Assert.Contains("margin softmax", program.Run(["profile", "head", "--identities", "50", "--batch", "6", "--dimension", "16", "--steps", "2", "--sample", "0.5", .. Roofs]).Ended(0).Out);
        var memory = Regex.Match(program.Run(["profile", "head", "--identities", "50000", "--batch", "6", "--dimension", "16", "--steps", "2", "--sgd", .. Roofs]).Ended(0).Out, @"tensors take at most ([\d.]+) MiB, planned ([\d.]+)");
        Assert.True(memory.Success);
        Assert.Equal(memory.Groups[1].Value, memory.Groups[2].Value);
        Assert.Contains("--sample: 0 is out of range", program.Run("profile", "head", "--sample", "0").Ended(2).Error);
    }

    [Fact]
    public void WhatIsWrongIsTold()
    {
        program.Run("profile", "op", "convolution").Refused("convolution", "conv2d", "depthwise", "margin_softmax");
        program.Run("profile", "op", "conv2d", "--shape", "64x64").Refused("64x64", "channels", "64x64x28x28");
        program.Run("profile", "op", "linear", "--shape", "axb").Refused("axb", "rows x columns");
        program.Run("profile", "op", "conv2d", "--groups", "3").Refused("3 groups");
        program.Run("profile", "op", "prelu", "--instructions", "sse").Refused("sse", "portable");
        program.Run("profile", "op", "prelu", "--compare", "absent").Refused("--compare", "absent");
        program.Run("profile", "train", "--set", "Net.Kind=resnet9").Refused("resnet9", "mobilefacenet");
        Assert.Contains("--steps", program.Run("profile", "op", "prelu", "--steps", "0").Ended(2).Error);
        Assert.False(Directory.Exists(program.In("runs")));
    }

    public void Dispose() => program.Dispose();
}
