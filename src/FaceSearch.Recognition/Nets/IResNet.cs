namespace FaceSearch.Recognition.Nets;

/// <summary>
/// Improved residual networks for faces (Deng et al. 2019, "ArcFace", section 3.2): stem 3×3 of stride 1, four stages of
/// halving maps, block BN-conv-BN-PReLU-conv-BN, tail BN, dropout, flatten, fully connected, BN of fixed scale.
/// </summary>
static class IResNet
{
    public static readonly (string Kind, int[] Blocks)[] Blocks =
    [
        ("iresnet18", [2, 2, 2, 2]),
        ("iresnet34", [3, 4, 6, 3]),
        ("iresnet50", [3, 4, 14, 3]),
        ("iresnet100", [3, 13, 30, 3]),
    ];

    public static Module Build(Weights weights, NetSettings net, int side)
    {
        var blocks = Blocks.First(b => b.Kind == net.Kind).Blocks;
        int channels = Scaled.Channels(64 * net.Width, 16);
        List<Module> parts = [new Conv(weights, "stem", 3, channels, 3), new BatchNorm(weights, "stem.norm", channels).WithPRelu("stem.act")];
        for (int stage = 0; stage < blocks.Length; stage++)
            for (int block = 0, count = Scaled.Blocks(blocks[stage], net.Depth); block < count; block++)
            {
                int outputs = Scaled.Channels((64 << stage) * net.Width, 16);
                parts.Add(Block(weights, net, $"stage{stage + 1}.{block + 1}", channels, outputs, block == 0 ? 2 : 1));
                channels = outputs;
            }
        parts.AddRange([new BatchNorm(weights, "tail.norm", channels), new Dropout(net.Dropout), new Flatten()]);
        parts.AddRange(Tail.Embedding(weights, channels * (side / 16) * (side / 16), net.Embedding));
        return new Sequential([.. parts]);
    }

    static Residual Block(Weights weights, NetSettings net, string name, int inputs, int outputs, int stride) => Residual.Block(weights, name, net, outputs,
        new Sequential(
            new BatchNorm(weights, name + ".norm1", inputs),
            new Conv(weights, name + ".conv1", inputs, outputs, 3),
            new BatchNorm(weights, name + ".norm2", outputs).WithPRelu(name + ".act"),
            new Conv(weights, name + ".conv2", outputs, outputs, 3, stride),
            new BatchNorm(weights, name + ".norm3", outputs)),
        stride == 1 && inputs == outputs ? null : new Sequential(
            new Conv(weights, name + ".shortcut", inputs, outputs, 1, stride),
            new BatchNorm(weights, name + ".shortcut.norm", outputs)));
}

/// <summary>The ends of networks.</summary>
static class Tail
{
    /// Fully connected layer and batch norm of fixed scale: the length of an embedding carries nothing, its centre does.
    public static Module[] Embedding(Weights weights, int inputs, int dimensions, bool bias = true) =>
    [
        new Linear(weights, "embedding", inputs, dimensions, bias),
        new BatchNorm(weights, "embedding.norm", dimensions, frozenScale: true),
    ];
}
