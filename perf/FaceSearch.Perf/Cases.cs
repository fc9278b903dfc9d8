using FaceSearch.Recognition;

namespace FaceSearch.Perf;

/// <summary>Every case by name, in the order of the table.</summary>
static class Cases
{
    const int Embedding = 512;

    public static IReadOnlyList<Case> All { get; } =
    [
        Product("gemm", 1024, 1024, 1024),
        Product("gemm64", 64, 100_000, Embedding),
        Product("gemm128", 128, 100_000, Embedding),
        Convolution("conv64", 64, 56),
        Convolution("conv128", 128, 28),
        Convolution("conv256", 256, 14),
        Convolution("conv512", 512, 7),
        Convolution("strided", 128, 56, stride: 2),
        Convolution("depthwise", 128, 56, depthwise: true),
        new("block", "inverted residual 128-256-128 with batch norm and PReLU, 14×14, batch 32, forward and backward", 32,
            OpSteps.Block, OpSteps.BlockWork, PeerForm.Maps("block n=32 c=128 e=256 h=14")),
        Training("mfn", "MobileFaceNet", new() { Kind = "mobilefacenet", Embedding = Embedding }, 32),
        Training("r18", "IResNet-18", new() { Kind = "iresnet18", Embedding = Embedding }, 16),
        Head("head10k", 10_000, ours: 0.5, usual: 1, lean: 1),
        Head("head100k", 100_000, ours: 1, usual: 2.5, lean: 1.6),
        Head("head1m", 1_000_000, ours: 6.5, usual: 19, lean: 11.5),
        new("embed", $"embeddings of {NetSteps.EmbedImages} faces of 112×112, MobileFaceNet", NetSteps.EmbedImages,
            NetSteps.Embed, NetSteps.EmbedWork, PeerForm.Maps($"net kind=mfn side=112 n=64 batches={NetSteps.EmbedImages / 64} bwd=0 emb={Embedding}"), Gigabytes: 3),
        new("mini", "training step of the search's small network: resnet-mini 48×48, batch 64, 1000 identities, SGD", 64,
            NetSteps.Mini, NetSteps.MiniWork, PeerForm.Maps("net kind=mini side=48 n=64 emb=128 classes=1000", lean: " lean=1")),
    ];

    public static Case? Find(string name) => All.FirstOrDefault(c => c.Name == name);

    static Case Product(string name, int m, int n, int k) => new(name, $"matrix product y = x·Wᵀ, {m}×{k} by {k}×{n}", 0,
        device => OpSteps.Product(device, m, n, k), () => OpSteps.ProductWork(m, n, k), PeerForm.Plain($"gemm m={m} n={n} k={k} tb=1"));

    static Case Convolution(string name, int channels, int side, int stride = 1, bool depthwise = false)
    {
        int groups = depthwise ? channels : 1;
        return new(name, $"{(depthwise ? "depthwise " : "")}3×3 convolution{(stride > 1 ? $" of stride {stride}" : "")}, {channels} channels, {side}×{side}, batch 32, forward and backward", 32,
            device => OpSteps.Convolution(device, channels, side, stride, groups), () => OpSteps.ConvolutionWork(channels, side, stride, groups),
            PeerForm.Maps($"conv n=32 c={channels} k={channels} h={side} s={stride} g={groups} bwd=1"));
    }

    static Case Training(string name, string title, NetSettings net, int batch) => new(name, $"training step of {title}, 112×112, batch {batch}: forward, backward, SGD", batch,
        device => NetSteps.Training(device, net, batch), () => NetSteps.TrainingWork(net, batch),
        PeerForm.Maps($"net kind={name} side={NetSteps.Side} n={batch} emb={Embedding}", gigabytes: 2.5), Gigabytes: 2.5);

    static Case Head(string name, int classes, double ours, double usual, double lean) => new(name, $"margin head, 128 embeddings of {Embedding} against {classes:N0} identities: loss, both gradients, SGD", 0,
        device => HeadSteps.Head(device, classes), () => HeadSteps.Work(classes), PeerForm.Head($"head n={HeadSteps.Batch} d={Embedding} classes={classes}", usual, lean), ours);
}
