using System.Diagnostics;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>Tensors that are larger than what is copied at a time, and than an array or a 32-bit index: centres of millions of identities.</summary>
public sealed class LargeTensorTests : IDisposable
{
    // More than 2³¹ elements in all, the last classes wholly beyond.
    const int Classes = 4_300_000, FirstInMemory = 4_190_000, Dimension = 512;

    readonly string folder = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(folder, recursive: true);

    static Device Open(string name)
    {
        if (name == "bf16")
        {
            // Skips the test where there is none; but without its poison, which would be all of memory.
            TestDevice.OpenBf16().Dispose();
            return new Gpu(GpuAccelerator.Simulated) { Precision = Precision.Bf16 };
        }
        if (name == Tensors.Devices.CpuName) return Cpu.Create(2);
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        return new Gpu(GpuAccelerator.Simulated);
    }

    /// ILGPU asserts that views begin in their buffers.
    sealed class Unasserted : IDisposable
    {
        readonly TraceListener[] listeners = [.. Trace.Listeners.Cast<TraceListener>()];

        public Unasserted() => Trace.Listeners.Clear();
        public void Dispose() => Trace.Listeners.AddRange(listeners);
    }

    /// A CPU's memory that nobody touches costs nothing. A simulated GPU gives no 9 GB: there a tensor begins so far before its memory that only its last classes lie in it.
    static Tensor NewCentres(Device device)
    {
        var shape = Shape.Of(Classes, Dimension);
        if (device is not Gpu) return device.New(shape);
        var block = (GpuPool.Block)device.New(Shape.Of(Classes - FirstInMemory, Dimension)).Memory;
        return new(new GpuPool.Block(block.Slab, block.Place.Item2 - (long)FirstInMemory * Dimension, shape.Count), device, shape);
    }

    /// <summary>Rows beyond the 2³¹st element are drawn and moved exactly as in a head that has them alone, and nothing beside them.</summary>
    [Theory, InlineData("cpu"), InlineData("simulated"), InlineData("bf16")]
    public void AHeadBeyond31BitsMovesTheRightCentres(string name)
    {
        using var device = Open(name);
        int[] classes = [FirstInMemory, 4_194_303, 4_194_304, 4_194_305, 4_299_998, Classes - 1];
        var margin = new Margin(16, 16, 1, 0.3f, 0);
        float[] embeddings = Expect.Normal(Shape.Of(classes.Length, Dimension), 0), rows = Expect.Normal(Shape.Of(classes.Length, Dimension), 1);
        var update = new CentreUpdate(null, 0.5f, 0, false, 0);

        float Step(Tensor centres, int[] labels, PartialFc? partial)
        {
            centres.NeedsGradient = true;
            using var tape = new Tape(device);
            var x = tape.Input(Shape.Of(labels.Length, Dimension), embeddings);
            x.NeedsGradient = true;
            var loss = x.MarginSoftmax(centres, labels, margin, update: update, partial: partial);
            float value = loss.ToArray()[0];
            tape.Backward(loss);
            return value;
        }

        using var alone = device.From(Shape.Of(classes.Length, Dimension), rows);
        float expected = Step(alone, [.. Enumerable.Range(0, classes.Length)], null);
        float[] moved = alone.ToArray();
        Assert.NotEqual(rows, moved);

        // Its memory goes with the device.
        using var unasserted = new Unasserted();
        var all = NewCentres(device);
        float[] still = Expect.Normal(Shape.Of(Dimension), 2), row = new float[Dimension];
        for (int i = 0; i < classes.Length; i++) device.Write(all, (long)classes[i] * Dimension, rows.AsSpan(i * Dimension, Dimension));
        device.Write(all, 4_250_000L * Dimension, still);
        // As many are drawn as the batch has rows: its own.
        Assert.Equal(expected, Step(all, classes, new(1e-9, 1, 1)));
        for (int i = 0; i < classes.Length; i++)
        {
            device.Read(all, (long)classes[i] * Dimension, row);
            Assert.Equal(moved[(i * Dimension)..((i + 1) * Dimension)], row);
        }
        device.Read(all, 4_250_000L * Dimension, row);
        Assert.Equal(still, row);
    }

    /// <summary>Drawn, written to a file and read from it piece by piece.</summary>
    [Theory, InlineData("cpu"), InlineData("simulated")]
    public void MoreThanAPieceIsDrawnSavedAndRestored(string name)
    {
        using var device = Open(name);
        using var weights = new Weights(device, seed: 7);
        var shape = Shape.Of(70_001, 61);
        Assert.Equal(2, shape.Pieces().Count());
        Tensor centres = weights.Normal("head.centres", shape, 0.01), small = weights.Normal("small", Shape.Of(3, 5), 1);
        float[] values = centres.ToArray();
        ulong stream = "head.centres".Aggregate(0xCBF29CE484222325UL, (hash, c) => (hash ^ c) * 0x100000001B3UL);
        foreach (int i in new[] { 0, 1, Shape.PieceLength - 1, Shape.PieceLength, values.Length - 1 }) Assert.Equal((float)(0.01 * Noise.Normal(7, stream, (ulong)i)), values[i]);

        var path = Path.Combine(folder, "large.checkpoint");
        Checkpoint.Write(path, new(new(), 3, 70_001, "faces", 1, 1), [centres, small]);
        using var saved = Checkpoint.Read(path);
        Assert.Equal([shape.Count, 15], saved.Header.Tensors.Select(t => t.Count));
        // The file that was checked, whatever takes its place.
        File.Delete(path);
        File.WriteAllText(path, "another");
        using Tensor again = device.Parameter("head.centres", shape), smallAgain = device.Parameter("small", Shape.Of(3, 5));
        saved.Restore([smallAgain, again]);
        Assert.Equal(values, again.ToArray());
        Assert.Equal(small.ToArray(), smallAgain.ToArray());
    }

    [Fact]
    public void OnlyWhatATensorHasIsWritten()
    {
        using var device = Cpu.Create();
        using Tensor x = device.New(Shape.Of(10)), map = device.New(Shape.Map(1, 1, 2, 2));
        Assert.Throws<ShapeException>(() => device.Write(x, 8, new float[3]));
        Assert.Throws<ShapeException>(() => device.Write(x, -1, new float[3]));
        Assert.Throws<ShapeException>(() => device.Read(map, 0, new float[1]));
    }
}
