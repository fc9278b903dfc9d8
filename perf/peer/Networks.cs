using TorchSharp;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Layer = TorchSharp.torch.nn.Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>;

namespace FaceSearch.Peer;

/// <summary>The networks of FaceSearch.Recognition.Nets at width 1, layer by layer.</summary>
static class Networks
{
    public static Layer Create(string kind, int side, int embedding) => kind switch
    {
        "mfn" => MobileFaceNet(side, embedding),
        "r18" => IResNet18(side, embedding),
        "mini" => ResNetMini(side, embedding),
        _ => throw new ArgumentException($"kind: no network '{kind}'; choose mfn, r18 or mini"),
    };

    static Layer MobileFaceNet(int side, int embedding)
    {
        List<Layer> layers = [Layers.Conv(3, 64, 3, 2), Layers.Conv(64, 64, 3, groups: 64)];
        Stage(64, 64, 128, 128, 4);
        Stage(64, 128, 256, 256, 6);
        Stage(128, 128, 512, 256, 2);
        layers.AddRange([Layers.Conv(128, 512, 1), Layers.Conv(512, 512, side / 16, padding: 0, groups: 512, activated: false),
            Flatten(), Linear(512, embedding, hasBias: false), BatchNorm1d(embedding)]);
        return Sequential(layers);

        void Stage(int inputs, int outputs, int hiddenFirst, int hidden, int blocks)
        {
            layers.Add(new Inverted(inputs, outputs, 2, hiddenFirst, residual: false));
            for (int i = 0; i < blocks; i++) layers.Add(new Inverted(outputs, outputs, 1, hidden, residual: true));
        }
    }

    static Layer IResNet18(int side, int embedding)
    {
        List<Layer> layers = [Layers.Conv(3, 64, 3)];
        int channels = 64;
        for (int stage = 0; stage < 4; stage++)
            for (int block = 0; block < 2; block++)
            {
                int outputs = 64 << stage, stride = block == 0 ? 2 : 1;
                layers.Add(new Sum(
                    Sequential(BatchNorm2d(channels), Layers.Bare(channels, outputs, 3), BatchNorm2d(outputs), PReLU(outputs),
                        Layers.Bare(outputs, outputs, 3, stride), BatchNorm2d(outputs)),
                    Layers.Shortcut(channels, outputs, stride)));
                channels = outputs;
            }
        layers.AddRange([BatchNorm2d(channels), Flatten(), Linear(channels * (side / 16) * (side / 16), embedding), BatchNorm1d(embedding)]);
        return Sequential(layers);
    }

    static Layer ResNetMini(int side, int embedding)
    {
        (int Channels, int Blocks, int Stride)[] stages = [(16, 1, 1), (32, 2, 2), (64, 2, 2)];
        List<Layer> layers = [Layers.Conv(3, 16, 3, 2)];
        int channels = 16;
        foreach (var stage in stages)
            for (int block = 0; block < stage.Blocks; block++)
            {
                int stride = block == 0 ? stage.Stride : 1;
                layers.Add(new Sum(
                    Sequential(Layers.Conv(channels, stage.Channels, 3, stride), Layers.Conv(stage.Channels, stage.Channels, 3, activated: false)),
                    Layers.Shortcut(channels, stage.Channels, stride)));
                layers.Add(PReLU(stage.Channels));
                channels = stage.Channels;
            }
        layers.AddRange([Flatten(), Linear(channels * (side / 8) * (side / 8), embedding, hasBias: false), BatchNorm1d(embedding)]);
        return Sequential(layers);
    }
}

static class Layers
{
    public static Layer Bare(int inputs, int outputs, int kernel, int stride = 1, int? padding = null, int groups = 1) =>
        Conv2d(inputs, outputs, kernel, stride: stride, padding: padding ?? kernel / 2, groups: groups, bias: false);

    /// Convolution, batch norm and, where activated, PReLU.
    public static Layer Conv(int inputs, int outputs, int kernel, int stride = 1, int? padding = null, int groups = 1, bool activated = true)
    {
        var conv = Bare(inputs, outputs, kernel, stride, padding, groups);
        return activated ? Sequential(conv, BatchNorm2d(outputs), PReLU(outputs)) : Sequential(conv, BatchNorm2d(outputs));
    }

    /// Nothing where x itself fits the sum.
    public static Layer? Shortcut(int inputs, int outputs, int stride) =>
        stride == 1 && inputs == outputs ? null : Conv(inputs, outputs, 1, stride, activated: false);
}

/// <summary>body(x) + shortcut(x).</summary>
sealed class Sum : Layer
{
    readonly Layer body;
    readonly Layer? shortcut;

    public Sum(Layer body, Layer? shortcut) : base(nameof(Sum))
    {
        (this.body, this.shortcut) = (body, shortcut);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => body.call(x) + (shortcut is null ? x : shortcut.call(x));
}

/// <summary>1×1 expand, 3×3 depthwise, 1×1 project, residual.</summary>
sealed class Inverted : Layer
{
    readonly Layer body;
    readonly bool residual;

    public Inverted(int inputs, int outputs, int stride, int hidden, bool residual) : base(nameof(Inverted))
    {
        this.residual = residual;
        body = Sequential(Layers.Conv(inputs, hidden, 1), Layers.Conv(hidden, hidden, 3, stride, groups: hidden), Layers.Conv(hidden, outputs, 1, activated: false));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => residual ? x + body.call(x) : body.call(x);
}
