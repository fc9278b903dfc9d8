using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Nets;

/// <summary>What a network costs whatever is done with it.</summary>
/// <param name="Macs">Multiply-accumulates of convolutions and linear layers in one forward pass of one image.</param>
/// <param name="Parameters">Of the backbone, frozen ones included, buffers not.</param>
public readonly record struct BackboneCost(long Macs, long Parameters);

/// <summary>A network from square RGB faces (any side that is a multiple of 16) to embeddings.</summary>
public sealed class Backbone : IDisposable
{
    readonly Weights weights;
    readonly Module layers;

    /// <summary>Every Net.Kind.</summary>
    public static IReadOnlyList<string> Kinds { get; } =
        ["resnet-mini", "mobilenetv2", "mobilefacenet", .. IResNet.Blocks.Select(b => b.Kind)];

    Backbone(Weights weights, NetSettings net, int side)
    {
        (this.weights, Settings, Side) = (weights, net, side);
        layers = net.Kind switch
        {
            "resnet-mini" => ResNetMini.Build(weights, net, side),
            "mobilenetv2" => MobileNetV2.Build(weights, net, side),
            "mobilefacenet" => MobileFaceNet.Build(weights, net, side),
            _ => IResNet.Build(weights, net, side),
        };
    }

    public NetSettings Settings { get; }
    /// <summary>Side of the input in pixels.</summary>
    public int Side { get; }
    public Device Device => weights.Device;
    public IReadOnlyList<Tensor> Parameters => weights.Parameters;
    /// <summary>Running statistics: saved with the parameters, never trained.</summary>
    public IReadOnlyList<Tensor> Buffers => weights.Buffers;
    public long ParameterCount => Parameters.Sum(p => p.Shape.Count);

    /// <summary>A network with initial weights drawn from the seed.</summary>
    public static Backbone Create(Device device, NetSettings net, int inputSide, ulong seed)
    {
        if (!Kinds.Contains(net.Kind))
            throw new InputException($"Net.Kind: no backbone '{net.Kind}'; choose one of {string.Join(", ", Kinds)}");
        if (inputSide < 16 || inputSide % 16 != 0)
            throw new InputException($"Data.Size: {inputSide} is not a multiple of 16; a backbone halves its input up to four times, choose for example 48 or 112");
        return new(new(device, seed), net, inputSide);
    }

    /// <summary>Embeddings [images, Net.Embedding], not normalised, of a map [images, 3, Side, Side].</summary>
    public Tensor Forward(Tensor x, Pass pass) => layers.Forward(x, pass);

    /// <summary>Multiply-accumulates of one image and parameters; allocates and computes nothing.</summary>
    public static BackboneCost Measure(NetSettings net, int inputSide)
    {
        using var meter = new Meter();
        using var backbone = Create(meter, net, inputSide, 0);
        using var tape = new Tape(meter, record: false);
        backbone.Forward(tape.New(Shape.Map(1, 3, inputSide, inputSide)), Pass.Inference);
        return new(tape.Forward.Macs, backbone.ParameterCount);
    }

    public void Dispose() => weights.Dispose();
}

/// <summary>Rounding of channels and numbers of blocks when a network is made wider or deeper.</summary>
static class Scaled
{
    /// Channels to the nearest multiple, at least one multiple, and at most 10 % less than asked (Sandler et al. 2018).
    public static int Channels(double channels, int multiple)
    {
        int rounded = Math.Max(multiple, (int)(channels + multiple / 2.0) / multiple * multiple);
        return rounded < 0.9 * channels ? rounded + multiple : rounded;
    }

    public static int Blocks(int blocks, double depth) => Math.Max(1, (int)Math.Round(blocks * depth, MidpointRounding.AwayFromZero));
}
