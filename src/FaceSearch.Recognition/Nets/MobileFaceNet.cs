using System.Numerics;

namespace FaceSearch.Recognition.Nets;

/// <summary>
/// MobileFaceNet (Chen et al. 2018) in the form of InsightFace's `mbf`: inverted residuals with PReLU whose hidden widths
/// are fixed while Net.Width scales the trunk, and a global depthwise convolution before the embedding.
/// Net.Width 2 is the usual "0.45 G" network.
/// </summary>
static class MobileFaceNet
{
    public static Module Build(Weights weights, NetSettings net, int side)
    {
        int narrow = Scaled.Channels(64 * net.Width, 16), wide = Scaled.Channels(128 * net.Width, 16), last = side / 16;
        var parts = new List<Module>
        {
            Activated(weights, "stem", 3, narrow, 3, stride: 2),
            Activated(weights, "stem2", narrow, narrow, 3, groups: (int)BigInteger.GreatestCommonDivisor(64, narrow)),
        };
        Stage("stage1", narrow, narrow, hiddenFirst: 128, hidden: 128, blocks: 4);
        Stage("stage2", narrow, wide, hiddenFirst: 256, hidden: 256, blocks: 6);
        Stage("stage3", wide, wide, hiddenFirst: 512, hidden: 256, blocks: 2);
        parts.AddRange(
        [
            Activated(weights, "tail", wide, 512, 1),
            new Conv(weights, "tail.global", 512, 512, last, groups: 512, padding: 0), new BatchNorm(weights, "tail.global.norm", 512),
            new Flatten(), new Dropout(net.Dropout), .. Tail.Embedding(weights, 512, net.Embedding, bias: false),
        ]);
        return new Sequential([.. parts]);

        void Stage(string name, int inputs, int outputs, int hiddenFirst, int hidden, int blocks)
        {
            parts.Add(Inverted(weights, name + ".0", inputs, hiddenFirst, outputs, stride: 2));
            for (int i = 1; i <= Scaled.Blocks(blocks, net.Depth); i++)
                parts.Add(Residual.Block(weights, $"{name}.{i}", net, outputs, Inverted(weights, $"{name}.{i}", outputs, hidden, outputs, stride: 1)));
        }
    }

    static Sequential Activated(Weights weights, string name, int inputs, int outputs, int kernel, int stride = 1, int groups = 1) => new(
        new Conv(weights, name, inputs, outputs, kernel, stride, groups),
        new BatchNorm(weights, name + ".norm", outputs).WithPRelu(name + ".act"));

    static Sequential Inverted(Weights weights, string name, int inputs, int hidden, int outputs, int stride) => new(
        Activated(weights, name + ".expand", inputs, hidden, 1),
        Activated(weights, name + ".depthwise", hidden, hidden, 3, stride, groups: hidden),
        new Conv(weights, name + ".project", hidden, outputs, 1),
        new BatchNorm(weights, name + ".project.norm", outputs));
}
