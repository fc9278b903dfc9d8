using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests;

/// <summary>What a device's own meter says before a training, against what the training then takes of the simulated GPU.</summary>
public class MemoryPlanTests
{
    // More of them than a batch has images, so that the head is a good part, and there is something to draw.
    static readonly FaceSet Faces = Synth.Generate(60, 2, 32, 2, seed: 3);

    static Gpu Open(string precision)
    {
        if (precision == Tensors.Devices.Bf16) return TestDevice.OpenBf16();
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        return new(GpuAccelerator.Simulated) { Poison = true };
    }

    static Settings Small(string kind, string optimizer, double clip, double sample) => new()
    {
        Data = new() { Size = 32, Margin = 2 },
        Net = new() { Kind = kind, Width = 0.25, Depth = 0.5, Embedding = 512, Dropout = 0.1 },
        Head = new() { TrueScale = 16, FalseScale = 16, Sample = sample },
        Train = new() { Optimizer = optimizer, Clip = clip, Batch = 6, Budget = 1 },
    };

    [Theory]
    [InlineData("mobilefacenet", "sgd", 0, 1, "fp32")]
    [InlineData("mobilefacenet", "sgd", 0, 0.2, "bf16")]
    [InlineData("mobilefacenet", "adamw", 5, 1, "bf16")]
    [InlineData("iresnet18", "sgd", 5, 0.2, "fp32")]
    [InlineData("iresnet18", "sgd", 0, 1, "bf16")]
    public void ATrainingTakesWhatWasPlanned(string kind, string optimizer, double clip, double sample, string precision)
    {
        var settings = Small(kind, optimizer, clip, sample);
        using var device = Open(precision);
        var plan = TrainingPlan.MemoryOn(device, settings, Faces.Identities);
        Assert.Equal((0, 0), (device.PeakBytes, device.HeldBytes));
        using (var training = Training.Start(settings, Faces, device))
        {
            Assert.Equal(plan, (training.Memory!.Value.Tensors, training.Memory.Value.Held));
            // Told, recorded, repeated.
            training.Advance(3);
        }
        Assert.Equal(plan, (device.PeakBytes, device.HeldBytes));
        // Not what the CPU would take.
        Assert.NotInRange(plan.Tensors / (TrainingPlan.Of(settings, Faces.Identities).MemoryMiB * 1048576), 0.999, 1.001);
    }

    /// <summary>The head alone, with pieces of classes: gradients by embeddings and centres, or their update.</summary>
    [Theory]
    [InlineData(1, true, "fp32")]
    [InlineData(0.1, true, "fp32")]
    [InlineData(1, false, "bf16")]
    [InlineData(0.1, true, "bf16")]
    public void AHeadTakesWhatWasPlanned(double sample, bool update, string precision)
    {
        using var device = Open(precision);
        using var meter = device.NewMeter();
        const int classes = 20_000, dimension = 64;
        foreach (var one in new[] { meter, device })
        {
            using var centres = one.Parameter("w", Shape.Of(classes, dimension));
            if (!one.IsMeter) one.Write(centres, Expect.Normal(centres.Shape, 1));
            using var tape = new Tape(one);
            Head(tape, centres, batch: 40, sample, update);
            centres.DropGradient();
        }
        Assert.Equal(meter.PeakBytes, device.PeakBytes);
    }

    static void Head(Tape tape, Tensor centres, int batch, double sample, bool update)
    {
        var shape = Shape.Of(batch, centres.Shape.Cols);
        var embeddings = tape.Device.IsMeter ? tape.New(shape) : tape.Input(shape, Expect.Normal(shape, 0));
        embeddings.NeedsGradient = true;
        tape.Backward(embeddings.MarginSoftmax(centres, [.. Enumerable.Range(0, batch)], new(64, 64, 1, 0.5f, 0), update: update ? new(null, 0.1f, 0, false, 0) : null, partial: new(sample, 1, 1)));
    }

    /// <summary>A million centres with SGD, and a tenth of ten million: beyond embeddings, their gradient, centres and velocities less than 64 MB.</summary>
    [Theory]
    [InlineData(1_000_000, 1, false)]
    [InlineData(1_000_000, 1, true)]
    [InlineData(10_000_000, 0.1, true)]
    public void AMillionClassesTakeLittleBesideTheirCentres(int classes, double sample, bool hopper)
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        using var meter = new Gpu(GpuAccelerator.Simulated, meters: true) { Precision = Precision.Bf16, Hopper = hopper };
        using var centres = meter.Parameter("w", Shape.Of(classes, 512));
        using var tape = new Tape(meter);
        long before = meter.LiveBytes;
        Head(tape, centres, batch: 1024, sample, update: true);
        Assert.InRange(meter.PeakBytes - before, 1, 64_000_000);
    }

    [Fact]
    public void WhatNoMemoryHoldsIsRefusedBeforeAnyWork()
    {
        using var device = Open("fp32");
        var crowd = new FaceSet { Side = 34, Images = [], Labels = [], IdentityNames = new string[40_000_000], Sources = [] };
        var error = Assert.Throws<DeviceException>(() => Training.Start(Small("mobilefacenet", "sgd", 0, 0.1), crowd, device));
        Assert.Matches(@"^simulated GPU .* has \d+ MiB and this training takes 1\d{5}: a smaller Train.Batch needs less", error.Message);
        Assert.Equal(0, device.PeakBytes);
    }
}
