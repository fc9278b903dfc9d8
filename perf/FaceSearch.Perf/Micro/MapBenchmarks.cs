using BenchmarkDotNet.Attributes;
using FaceSearch.Tensors;

namespace FaceSearch.Perf.Micro;

/// <summary>Ops on maps [16, channels, side, side], forward and without a tape.</summary>
public class MapBenchmarks : MicroBenchmark
{
    const int Batch = 16;
    Tensor x = null!, dense = null!, pointwise = null!, depthwise = null!, gamma = null!, beta = null!, mean = null!, variance = null!;

    [Params("64x56", "128x28", "256x14")]
    public string Map { get; set; } = "";

    [GlobalSetup]
    public void Setup()
    {
        int[] sizes = [.. Map.Split('x').Select(int.Parse)];
        int channels = sizes[0];
        x = Normal(Shape.Map(Batch, channels, sizes[1], sizes[1]), 1);
        dense = Normal(Shape.Of(channels, channels, 3, 3), 2);
        pointwise = Normal(Shape.Of(channels, channels, 1, 1), 3);
        depthwise = Normal(Shape.Of(channels, 1, 3, 3), 4);
        (gamma, beta, mean, variance) = (Constant(1), Constant(0), Constant(0), Constant(1));

        Tensor Constant(float value) => Device.From(Shape.Of(channels), [.. Enumerable.Repeat(value, channels)]);
    }

    [Benchmark]
    public void Conv3x3() => x.Conv2d(dense, padding: 1).Dispose();

    [Benchmark]
    public void Conv1x1() => x.Conv2d(pointwise).Dispose();

    [Benchmark]
    public void ConvDepthwise() => x.Conv2d(depthwise, padding: 1, groups: x.Shape.Channels).Dispose();

    // A tape, since the op leaves its statistics on one.
    [Benchmark]
    public void BatchNormTraining()
    {
        using var tape = new Tape(Device, record: false);
        var y = tape.New(x.Shape);
        Device.Copy(x, y);
        y.BatchNorm(gamma, beta, mean, variance, training: true);
    }

    [Benchmark]
    public void PRelu() => x.PRelu(beta).Dispose();

    [Benchmark]
    public void Add() => x.Add(x).Dispose();
}
