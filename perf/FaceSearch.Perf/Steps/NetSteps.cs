using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Whole networks: a training step without a head, the product's own training step, the product's own embedding.</summary>
static class NetSteps
{
    public const int Side = 112, EmbedImages = 320;
    const float Rate = 0.01f, Momentum = 0.9f, Decay = 5e-4f;

    /// Loss Σ embedding·constant; writing the images is part of the step.
    public static Step Training(Device device, NetSettings net, int batch)
    {
        var backbone = Backbone.Create(device, net, Side, seed: 1);
        var velocities = backbone.Parameters.Select(p => device.Parameter(p.Name, p.Shape, frozen: true)).ToArray();
        var shape = Shape.Map(batch, 3, Side, Side);
        float[] images = Values.Normal(shape, 1), gradient = Values.Normal(Shape.Of(batch, net.Embedding), 2);
        return new(() =>
        {
            using var tape = new Tape(device);
            tape.Seed(backbone.Forward(tape.Input(shape, images), new(Training: true)), gradient);
            for (int i = 0; i < velocities.Length; i++)
            {
                var parameter = backbone.Parameters[i];
                if (parameter.Gradient is not { } g) continue;
                device.Sgd(parameter, g, velocities[i], Rate, Momentum, nesterov: false, Decay);
                parameter.DropGradient();
            }
        });
    }

    public static Cost TrainingWork(NetSettings net, int batch) => Work(net, batch, new(Training: true));

    public static Step Embed(Device device)
    {
        var backbone = Backbone.Create(device, EmbedNet, Side, seed: 1);
        var faces = new FaceSet
        {
            Side = Side,
            Images = [.. Enumerable.Range(0, EmbedImages).Select(Photograph)],
            Labels = new int[EmbedImages],
            IdentityNames = ["one"],
            Sources = new string[EmbedImages],
        };
        return new(() => Embedder.Embed(backbone, faces, addFlip: false));
    }

    public static Cost EmbedWork() => Work(EmbedNet, EmbedImages, Pass.Inference);

    static NetSettings EmbedNet => new() { Kind = "mobilefacenet", Embedding = 512 };

    static byte[] Photograph(int number)
    {
        var pixels = new byte[3 * Side * Side];
        for (int i = 0; i < pixels.Length; i++) pixels[i] = (byte)Noise.Bits(1, (ulong)number, (ulong)i);
        return pixels;
    }

    static Cost Work(NetSettings net, int batch, Pass pass)
    {
        using var meter = new Meter();
        using var backbone = Backbone.Create(meter, net, Side, seed: 1);
        using var tape = new Tape(meter, record: pass.Training);
        backbone.Forward(tape.New(Shape.Map(batch, 3, Side, Side)), pass);
        return tape.Forward + tape.BackwardCost;
    }

    public static Step Mini(Device device)
    {
        var (learner, step) = MiniStep(device);
        return new(() => step(learner));
    }

    public static Cost MiniWork()
    {
        using var meter = new Meter();
        var (learner, step) = MiniStep(meter);
        using (learner) return step(learner);
    }

    static (Learner Learner, Func<Learner, Cost> Step) MiniStep(Device device)
    {
        const int batch = 64, identities = 1000;
        var settings = new Settings();
        var images = Values.Normal(Shape.Map(batch, 3, settings.Data.Size, settings.Data.Size), 1);
        int[] labels = [.. Enumerable.Range(0, batch)];
        int number = 0;
        return (new(device, settings, identities), learner => learner.Step(images, labels, number++, Rate, new(64, 64, 1, 0.5f, 0)).Work);
    }
}
