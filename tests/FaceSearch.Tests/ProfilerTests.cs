using System.Runtime.InteropServices;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

public class ProfilerTests
{
    static readonly Device Device = Cpu.Create();

    static Tensor Parameter(params int[] dims)
    {
        var tensor = Device.Parameter("p", Shape.Of(dims));
        Device.Write(tensor, Values(tensor.Shape));
        return tensor;
    }

    static float[] Values(Shape shape) => [.. Enumerable.Range(0, (int)shape.Count).Select(i => i % 13 / 13f - 0.4f)];

    /// <summary>A small network's step; its input needs no gradient.</summary>
    static (Profiler Profiler, Cost Forward, Cost Backward) Step()
    {
        var profiler = new Profiler();
        using var tape = new Tape(Device) { Profiler = profiler };
        var shape = Shape.Map(4, 3, 8, 8);
        Tensor ones = Parameter(16), zeros = Parameter(16);
        var x = tape.Input(shape, Values(shape)).Conv2d(Parameter(16, 3, 3, 3), padding: 1);
        x = x.BatchNorm(ones, zeros, Parameter(16), Parameter(16), training: true).PRelu(Parameter(16));
        x = x.Add(x.Conv2d(Parameter(16, 16, 1, 1)).BatchNorm(ones, zeros, Parameter(16), Parameter(16), training: true, Parameter(16))).GlobalAveragePool().Flatten().Linear(Parameter(8, 16));
        var loss = x.MarginSoftmax(Parameter(5, 8), [0, 1, 2, 3], new(16, 16, 1, 0.1f, 0));
        var forward = tape.Forward;
        tape.Backward(loss);
        return (profiler, forward, tape.BackwardCost);
    }

    [Fact]
    public void EveryOpHasOneSpanForwardAndOneBackwardInReverse()
    {
        var spans = Step().Profiler.Spans;
        var forward = spans.Where(s => s.Direction == Direction.Forward).ToArray();
        // The values of the first batch norm, which PReLU alone cannot compute as it loads them, are no op: they have no gradient.
        var ops = forward.Where(s => s.Name != "settled").Reverse().ToArray();
        var backward = spans.Where(s => s.Direction == Direction.Backward).ToArray();
        Assert.Equal(["conv2d", "batch_norm", "settled", "prelu", "conv2d", "batch_norm + prelu", "add", "global_average_pool", "flatten", "linear", "normalize", "margin softmax"], forward.Select(s => s.Name));
        Assert.Equal(ops.Select(s => (s.Name, s.Result)), backward.Select(s => (s.Name, s.Result)));
        Assert.All(ops.Zip(backward), pair => Assert.Equal(pair.First.Inputs, pair.Second.Inputs));
        Assert.Equal(["input", "seed", "backward"], spans.Where(s => s.Direction == Direction.None).Select(s => s.Name));
        Assert.Equal([Shape.Map(4, 3, 8, 8), Shape.Of(16, 3, 3, 3)], forward[0].Inputs);
    }

    [Fact]
    public void CostsAddUpToTheTapes()
    {
        var (profiler, forward, backward) = Step();
        Cost Sum(Direction direction) => profiler.Spans.Where(s => s.Direction == direction).Aggregate(default(Cost), (sum, s) => sum + s.Cost);
        Assert.Equal(forward, Sum(Direction.Forward));
        Assert.Equal(backward, Sum(Direction.Backward));
        Assert.True(forward.Flops > 0 && backward.Flops > forward.Flops);
    }

    [Fact]
    public void SpansAreInOrderAndInsideTheirSections()
    {
        var spans = Step().Profiler.Spans;
        for (int i = 0; i < spans.Count; i++)
        {
            Assert.True(spans[i].Start <= spans[i].End, $"{spans[i]}");
            if (i > 0) Assert.True(spans[i - 1].Start <= spans[i].Start, $"{spans[i]}");
            if (i > 0 && spans[i].Parent != i - 1) Assert.True(spans[i - 1].End <= spans[i].Start, $"{spans[i]}");
            if (spans[i].Parent is >= 0 and var parent) Assert.True(spans[parent].Start <= spans[i].Start && spans[i].End <= spans[parent].End, $"{spans[i]}");
        }
        int backward = spans.ToList().FindIndex(s => s.Name == "backward");
        Assert.All(spans, s => Assert.Equal(s.Direction == Direction.Backward ? backward : -1, s.Parent));
    }

    [Fact]
    public void SectionsHoldSections()
    {
        var profiler = new Profiler();
        using (profiler.Open("outer", new(1, 2, 3)))
        {
            using (profiler.Open("first")) { }
            using (profiler.Open("second"))
            using (profiler.Open("inner")) { }
        }
        Assert.Equal([("outer", -1), ("first", 0), ("second", 0), ("inner", 2)], profiler.Spans.Select(s => (s.Name, s.Parent)));
        Assert.Equal(new Cost(1, 2, 3), profiler.Spans[0].Cost);
        Assert.All(profiler.Spans.Skip(1), s => Assert.True(s.End <= profiler.Spans[0].End));
    }

    [Fact]
    public unsafe void MemoryThatIsTouchedFirstAndAllocationsAreCounted()
    {
        const int bytes = 64 << 20;
        var profiler = new Profiler();
        // Not the managed array's memory, which may have been another's before: so large a piece malloc always takes from the system.
        byte* fresh = (byte*)NativeMemory.Alloc(bytes);
        using (profiler.Open("touch"))
        {
            GC.KeepAlive(GC.AllocateUninitializedArray<byte>(bytes));
            for (int i = 0; i < bytes; i += 4096) fresh[i] = 1;
        }
        NativeMemory.Free(fresh);
        Assert.True(profiler.Spans[0].Allocated >= bytes);
        // Pages may be as large as 2 MiB.
        if (OperatingSystem.IsLinux()) Assert.True(profiler.Spans[0].Faults >= 16, $"{profiler.Spans[0].Faults} page faults");
    }

    [Fact]
    public void OpsRecordedBeforeItIsGivenStayUntold()
    {
        using var tape = new Tape(Device);
        var x = tape.Input(Shape.Of(2, 4), Values(Shape.Of(2, 4))).Add(Parameter(2, 4));
        var profiler = new Profiler();
        tape.Profiler = profiler;
        tape.Seed(x.Normalize(), new float[8]);
        Assert.Equal(["normalize", "seed", "backward", "normalize"], profiler.Spans.Select(s => s.Name));
    }

    [Theory]
    [InlineData("sgd")]
    [InlineData("adamw")]
    public void ATrainingHasTheSameBitsWithIt(string optimizer)
    {
        var faces = Synth.Generate(4, 6, 16, 2, seed: 3);
        var settings = new Settings
        {
            Data = new() { Size = 16, Margin = 2 },
            Net = new() { Embedding = 16, Dropout = 0.2 },
            Train = new() { Batch = 8, Optimizer = optimizer, Budget = 0.01 },
        };
        int[] Trained(Profiler? profiler)
        {
            using var device = Cpu.Create(2);
            using var training = Training.Start(settings, faces, device);
            training.Profiler = profiler;
            training.Advance(4);
            return [.. training.Backbone.Parameters.Concat(training.Backbone.Buffers).SelectMany(p => p.ToArray()).Select(BitConverter.SingleToInt32Bits)];
        }
        var profiler = new Profiler();
        Assert.Equal(Trained(null), Trained(profiler));
        foreach (var name in (string[])["input", "forward", "seed", "backward", optimizer]) Assert.Equal(4, profiler.Spans.Count(s => s.Name == name));
        // One batch ahead.
        Assert.Equal(5, profiler.Spans.Count(s => s.Name == "batch"));
        Assert.All(profiler.Spans.Where(s => s.Name == optimizer), s => Assert.True(s.Cost.Bytes > 0));
    }
}
