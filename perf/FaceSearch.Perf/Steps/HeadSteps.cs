using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>The margin head alone, over all classes or a share drawn anew in each step: loss, gradients by embeddings and centres, SGD with momentum on the centres.</summary>
static class HeadSteps
{
    public const int Batch = 128;
    const int Dimensions = 512;
    const float Rate = 0.01f, Momentum = 0.9f;
    static readonly Margin Margin = new(64, 64, 1, 0.5f, 0);

    public static Step Head(Device device, int classes, int rows = Batch, double sample = 1)
    {
        Shape batch = Shape.Of(rows, Dimensions), all = Shape.Of(classes, Dimensions);
        Tensor centres = device.New(all).Fill(0.05f, 1), velocity = device.New(all).Fill(0, 2);
        centres.NeedsGradient = true;
        var update = new CentreUpdate(velocity, Rate, Momentum, Nesterov: false, WeightDecay: 0);
        var embeddings = Values.Normal(batch, 3);
        ulong step = 0;
        int[] labels = [.. Enumerable.Range(0, rows).Select(i => Noise.Below(classes, 1, 4, (ulong)i))];
        return new(() =>
        {
            using var tape = new Tape(device);
            var x = tape.Input(batch, embeddings);
            x.NeedsGradient = true;
            tape.Backward(x.MarginSoftmax(centres, labels, Margin, update: update, partial: new(sample, Seed: 1, step++)));
        });
    }

    /// Three products of the batch with all centres; centres read by loss and by gradients and written, velocity read and written.
    public static Cost Work(int classes, int rows = Batch)
    {
        long macs = 3L * rows * Dimensions * classes;
        return new(macs, 2 * macs, 5 * 4L * classes * Dimensions);
    }
}
