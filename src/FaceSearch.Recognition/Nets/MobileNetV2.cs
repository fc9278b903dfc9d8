namespace FaceSearch.Recognition.Nets;

/// <summary>
/// MobileNetV2 (Sandler et al. 2018, table 2) changed for small faces, the kind of network the paper searches: stem of
/// stride 1, so that 112 pixels end in a 7×7 map, which is flattened into the embedding instead of averaged. ReLU
/// without the original's cap at 6, which serves 8-bit inference only.
/// </summary>
static class MobileNetV2
{
    static readonly (int Expansion, int Channels, int Blocks, int Stride)[] Stages =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

    public static Module Build(Weights weights, NetSettings net, int side)
    {
        int channels = Scaled.Channels(32 * net.Width, 8), last = Scaled.Channels(1280 * Math.Max(1, net.Width), 8);
        List<Module> parts = [Activated(weights, "stem", 3, channels, 3)];
        for (int s = 0; s < Stages.Length; s++)
            for (int block = 0, count = Scaled.Blocks(Stages[s].Blocks, net.Depth); block < count; block++)
            {
                int outputs = Scaled.Channels(Stages[s].Channels * net.Width, 8), stride = block == 0 ? Stages[s].Stride : 1;
                var name = $"stage{s + 1}.{block + 1}";
                var body = Inverted(weights, name, channels, channels * Stages[s].Expansion, outputs, stride);
                parts.Add(stride == 1 && channels == outputs ? Residual.Block(weights, name, net, outputs, body) : body);
                channels = outputs;
            }
        parts.AddRange([Activated(weights, "tail", channels, last, 1), new Dropout(net.Dropout), new Flatten()]);
        parts.AddRange(Tail.Embedding(weights, last * (side / 16) * (side / 16), net.Embedding, bias: false));
        return new Sequential([.. parts]);
    }

    static Sequential Activated(Weights weights, string name, int inputs, int outputs, int kernel, int stride = 1, int groups = 1) => new(
        new Conv(weights, name, inputs, outputs, kernel, stride, groups),
        new BatchNorm(weights, name + ".norm", outputs).WithRelu());

    static Sequential Inverted(Weights weights, string name, int inputs, int hidden, int outputs, int stride)
    {
        List<Module> parts = hidden == inputs ? [] : [Activated(weights, name + ".expand", inputs, hidden, 1)];
        parts.AddRange(
        [
            Activated(weights, name + ".depthwise", hidden, hidden, 3, stride, groups: hidden),
            new Conv(weights, name + ".project", hidden, outputs, 1),
            new BatchNorm(weights, name + ".project.norm", outputs),
        ]);
        return new([.. parts]);
    }
}
