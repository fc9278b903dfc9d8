namespace FaceSearch.Recognition.Nets;

/// <summary>
/// A residual network for small faces and few images: five basic blocks of two 3×3 convolutions on maps of a half, a
/// quarter and an eighth of the input's side, 16-32-64 channels, flattened into the embedding. On a CPU the dense
/// convolutions run near the peak, so that it sees several times as many images in a minute as a depthwise network.
/// </summary>
static class ResNetMini
{
    static readonly (int Channels, int Blocks, int Stride)[] Stages = [(16, 1, 1), (32, 2, 2), (64, 2, 2)];

    public static Module Build(Weights weights, NetSettings net, int side)
    {
        int channels = Scaled.Channels(16 * net.Width, 16);
        List<Module> parts = [new Conv(weights, "stem", 3, channels, 3, stride: 2), new BatchNorm(weights, "stem.norm", channels).WithPRelu("stem.act")];
        for (int s = 0; s < Stages.Length; s++)
            for (int block = 0, count = Scaled.Blocks(Stages[s].Blocks, net.Depth); block < count; block++)
            {
                int outputs = Scaled.Channels(Stages[s].Channels * net.Width, 16);
                parts.AddRange(Block(weights, net, $"stage{s + 1}.{block + 1}", channels, outputs, block == 0 ? Stages[s].Stride : 1));
                channels = outputs;
            }
        parts.AddRange([new Dropout(net.Dropout), new Flatten()]);
        parts.AddRange(Tail.Embedding(weights, channels * (side / 8) * (side / 8), net.Embedding, bias: false));
        return new Sequential([.. parts]);
    }

    static Module[] Block(Weights weights, NetSettings net, string name, int inputs, int outputs, int stride) =>
    [
        Residual.Block(weights, name, net, outputs,
            new Sequential(
                new Conv(weights, name + ".conv1", inputs, outputs, 3, stride),
                new BatchNorm(weights, name + ".norm1", outputs).WithPRelu(name + ".act1"),
                new Conv(weights, name + ".conv2", outputs, outputs, 3),
                new BatchNorm(weights, name + ".norm2", outputs)),
            stride == 1 && inputs == outputs ? null : new Sequential(
                new Conv(weights, name + ".shortcut", inputs, outputs, 1, stride),
                new BatchNorm(weights, name + ".shortcut.norm", outputs))),
        new PRelu(weights, name + ".act2", outputs),
    ];
}
