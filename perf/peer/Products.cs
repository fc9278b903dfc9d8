using FaceSearch.Perf;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace FaceSearch.Peer;

/// <summary>Single operations and one block.</summary>
static class Products
{
    public static Step Gemm(Options options)
    {
        int m = options.Int("m", 1024), n = options.Int("n", 1024), k = options.Int("k", 1024);
        Tensor a = randn(m, k), b = options.Flag("tb") ? randn(n, k).t() : randn(k, n);
        return new(() => mm(a, b).Dispose());
    }

    public static Step Conv(Options options)
    {
        int n = options.Int("n", 32), c = options.Int("c", 64), k = options.Int("k", 64), side = options.Int("h", 56);
        int kernel = options.Int("r", 3), stride = options.Int("s", 1), groups = options.Int("g", 1);
        int padding = kernel / 2, outputs = (side + 2 * padding - kernel) / stride + 1;
        var layout = Layout.Of(options);
        Tensor x = layout(randn(n, c, side, side)), w = layout(randn(k, c / groups, kernel, kernel) * 0.05);
        Tensor Forward() => F.conv2d(x, w, strides: [stride, stride], padding: [padding, padding], groups: groups);
        if (!options.Flag("bwd")) return new(() =>
        {
            using var _ = no_grad();
            Forward().Dispose();
        });
        x = x.detach().requires_grad_(true);
        w = w.detach().requires_grad_(true);
        var dy = layout(randn(n, k, outputs, outputs));
        return new(() =>
        {
            using var _ = NewDisposeScope();
            autograd.grad([Forward()], [x, w], [dy]);
        });
    }

    /// One inverted residual of MobileFaceNet, forward and backward.
    public static Step Block(Options options)
    {
        int n = options.Int("n", 32), channels = options.Int("c", 128), side = options.Int("h", 14);
        var layout = Layout.Of(options);
        var block = new Inverted(channels, channels, 1, options.Int("e", 256), residual: true);
        block.train();
        Layout.Apply(block, layout);
        Tensor x = layout(randn(n, channels, side, side)).detach().requires_grad_(true), dy = layout(randn(n, channels, side, side));
        Tensor[] wanted = [.. block.parameters(), x];
        return new(() =>
        {
            using var _ = NewDisposeScope();
            autograd.grad([block.call(x)], wanted, [dy]);
        });
    }
}

/// <summary>How maps lie in memory: planes (the default), or with `cl=1` all channels of a pixel together, which oneDNN prefers.</summary>
static class Layout
{
    public static Func<Tensor, Tensor> Of(Options options) => options.Flag("cl") ? ChannelsLast : x => x;

    /// Gives the network's convolution weights this layout.
    public static void Apply(nn.Module network, Func<Tensor, Tensor> layout)
    {
        using var _ = no_grad();
        foreach (var weight in network.parameters())
            if (weight.dim() == 4) weight.set_(layout(weight));
    }

    static Tensor ChannelsLast(Tensor x) => x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
}
