using BenchmarkDotNet.Attributes;
using FaceSearch.Tensors;

namespace FaceSearch.Perf.Micro;

/// <summary>Ops on matrices: 128 embeddings of 512 against centres.</summary>
public class MatrixBenchmarks : MicroBenchmark
{
    const int Batch = 128, Dimensions = 512;
    static readonly Margin Margin = new(64, 64, 1, 0.5f, 0);
    Tensor x = null!, centres = null!, gradient = null!, velocity = null!;
    int[] labels = [];

    [Params(1000, 10_000)]
    public int Classes { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        x = Normal(Shape.Of(Batch, Dimensions), 1);
        var all = Shape.Of(Classes, Dimensions);
        (centres, gradient, velocity) = (Normal(all, 2), Normal(all, 3), Normal(all, 4));
        labels = [.. Enumerable.Range(0, Batch).Select(i => i * 7)];
    }

    [Benchmark]
    public void Linear() => x.Linear(centres).Dispose();

    [Benchmark]
    public void NormalizeCentres()
    {
        using var tape = new Tape(Device, record: false);
        var y = tape.New(centres.Shape);
        Device.Copy(centres, y);
        y.Normalize();
    }

    [Benchmark]
    public void MarginSoftmaxLoss()
    {
        using var tape = new Tape(Device, record: false);
        var y = tape.New(x.Shape);
        Device.Copy(x, y);
        y.MarginSoftmax(centres, labels, Margin);
    }

    [Benchmark]
    public void Sgd() => Device.Sgd(centres, gradient, velocity, rate: 0, momentum: 0.9f, nesterov: true, weightDecay: 5e-4f);
}
