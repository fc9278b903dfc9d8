using FaceSearch.Recognition;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Something to time: makes a step on a device. Work is what one step does, in `unit`.</summary>
/// <param name="Peer">The same work in the peer's words.</param>
sealed record Case(string Name, string Help, string Unit, double Work, string Peer, Func<Device, Action> Step);

/// <summary>Every case by name.</summary>
static class Cases
{
    public static IReadOnlyList<Case> All { get; } =
    [
        new("gemm", "y = x·Wᵀ, 1024³", "GFLOP", 2 * 1.024 * 1.024 * 1.024, "gemm m=1024 n=1024 k=1024", Gemm),
        new("conv", "3×3 convolution 64→64 on 56×56, batch 32, forward", "GFLOP", 2e-9 * 32 * 56 * 56 * 64 * 64 * 9, "conv kind=3x3 n=32 c=64 k=64 h=56 cl=1", Conv),
        new("head", "margin head, 128 × 512 against 10k identities, loss and both gradients", "GFLOP", 6e-9 * 128 * 512 * 10000, "head n=128 classes=10000 impl=lean", Head),
        new("mini", "training step of resnet-mini at 48×48, batch 64, 1000 identities", "images", 64, "", d => Training(d, new() { Kind = "resnet-mini" }, 48, 64)),
        new("mfn", "training step of MobileFaceNet at 112×112, batch 32, 1000 identities", "images", 32, "net kind=mfn n=32 cl=1", d => Training(d, new() { Kind = "mobilefacenet" }, 112, 32)),
    ];

    static Action Gemm(Device device)
    {
        Tensor x = Random(device, Shape.Of(1024, 1024), 1), w = Random(device, Shape.Of(1024, 1024), 2);
        return () => x.Linear(w).Dispose();
    }

    static Action Conv(Device device)
    {
        Tensor x = Random(device, Shape.Map(32, 64, 56, 56), 1), w = Random(device, Shape.Of(64, 64, 3, 3), 2);
        return () => x.Conv2d(w, padding: 1).Dispose();
    }

    static Action Head(Device device)
    {
        var centres = device.Parameter("centres", Shape.Of(10000, 512));
        device.Write(centres, Normal(centres.Shape, 2));
        var embeddings = device.Parameter("embeddings", Shape.Of(128, 512));
        device.Write(embeddings, Normal(embeddings.Shape, 1));
        var zeros = new float[128 * 512];
        var labels = Enumerable.Range(0, 128).Select(i => i * 70).ToArray();
        return () =>
        {
            using var tape = new Tape(device);
            // The embeddings join the tape through an op, as in training.
            tape.Backward(tape.Input(embeddings.Shape, zeros).Add(embeddings).MarginSoftmax(centres, labels, new(64, 64, 1, 0.5f, 0)));
            embeddings.DropGradient();
            centres.DropGradient();
        };
    }

    

    static Action Training(Device device, NetSettings net, int side, int batch)
    {
        var backbone = Backbone.Create(device, net, side, seed: 1);
        var centres = device.Parameter("centres", Shape.Of(1000, net.Embedding));
        device.Write(centres, Normal(centres.Shape, 3));
        Tensor[] parameters = [.. backbone.Parameters, centres];
        var velocities = parameters.Select(p => device.Parameter(p.Name, p.Shape)).ToArray();
        var images = Normal(Shape.Map(batch, 3, side, side), 4);
        var labels = Enumerable.Range(0, batch).ToArray();
        ulong step = 0;
        return () =>
        {
            using var tape = new Tape(device);
            var x = tape.Input(Shape.Map(batch, 3, side, side), images);
            tape.Backward(backbone.Forward(x, new(Training: true, Seed: 1, Step: step++)).MarginSoftmax(centres, labels, new(64, 64, 1, 0.5f, 0)));
            for (int i = 0; i < parameters.Length; i++)
            {
                if (parameters[i].Gradient is not { } gradient) continue;
                device.Sgd(parameters[i], gradient, velocities[i], 0.1f, 0.9f, true, 5e-4f);
                parameters[i].DropGradient();
            }
        };
    }

    static Tensor Random(Device device, Shape shape, ulong stream) => device.From(shape, Normal(shape, stream));

    static float[] Normal(Shape shape, ulong stream)
    {
        var values = new float[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)Noise.Normal(1, stream, (ulong)i);
        return values;
    }
}
