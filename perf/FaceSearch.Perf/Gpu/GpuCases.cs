using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>What is measured on a GPU beside PyTorch, in the order of the table: what matters most first, as time may run out.</summary>
static class GpuCases
{
    const int Embedding = 512;

    /// FACESEARCH_GPU_SMALL: sizes for a dry run, in which numbers of things and not times end each part: how fast the machine is decides nothing.
    public static readonly bool IsSmall = Environment.GetEnvironmentVariable("FACESEARCH_GPU_SMALL") == "1";
    static readonly int HeadBatch = Some(1024, 8), Classes = Some(1_000_000, 300), ManyClasses = Some(10_000_000, 1000), Side = 8192;

    static int Some(int large, int small) => IsSmall ? small : large;

    /// <summary>What a part goes through, where time does not end it before.</summary>
    public static IEnumerable<T> Wanted<T>(this IEnumerable<T> all, int inDryRun) => IsSmall ? all.Take(inDryRun) : all;

    public static IReadOnlyList<Case> All { get; } =
    [
        new("gpu-gemm", "bf16 matrix product, 8192 cubed, hand-written kernel: with PyTorch's the roof of the others", 0,
            device => GpuSteps.Product((Gpu)device, Some(Side, 256)), () => OpSteps.ProductWork(Some(Side, 256), Some(Side, 256), Some(Side, 256)), Forms($"gemm n={Some(Side, 256)}", "eager")),
        new("gpu-head1m", $"margin head, {HeadBatch} embeddings of {Embedding} against {Classes:N0} identities: loss, both gradients, SGD", 0,
            device => GpuSteps.Head(device, Classes, HeadBatch), () => HeadSteps.Work(Classes, HeadBatch), Forms($"head n={HeadBatch} d={Embedding} classes={Classes}", "full", "chunked", "chunked-compile")),
        Convolution("gpu-conv64", "3×3", new(Some(256, 1), 64, 64, Some(56, 8), 3)),
        Convolution("gpu-conv256", "3×3", new(Some(256, 1), 256, 256, Some(14, 4), 3)),
        Convolution("gpu-conv1x1", "1×1", new(Some(256, 1), 64, 128, Some(56, 8), 1, Stride: 2)),
        Convolution("gpu-depthwise", "depthwise 3×3", new(Some(512, 1), 128, 128, Some(56, 8), 3, Depthwise: true)),
        Training("gpu-mfn", "MobileFaceNet", "mobilefacenet", Some(512, 2)),
        Training("gpu-r50", "IResNet-50", "iresnet50", Some(256, 2)),
        new("gpu-head10m", $"Partial FC, {HeadBatch} embeddings of {Embedding} against a tenth of {ManyClasses:N0} identities: draw, loss, both gradients, SGD", 0,
            device => GpuSteps.Head(device, ManyClasses, HeadBatch, sample: 0.1), () => HeadSteps.Work(ManyClasses / 10, HeadBatch), Forms($"partial n={HeadBatch} d={Embedding} classes={ManyClasses}", "full", "chunked")),
    ];

    public static Case? Find(string name) => All.FirstOrDefault(c => c.Name == name);

    static Case Convolution(string name, string what, ConvolutionSize size) => new(name,
        $"{what} convolution, {size.Channels} to {size.Outputs} channels, {size.Side}×{size.Side}, stride {size.Stride}, batch {size.Batch}, forward and both gradients", size.Batch,
        device => GpuSteps.Convolution(device, size), () => size.Work, Forms(size.Arguments, "nchw", "cl"));

    static Case Training(string name, string title, string kind, int batch)
    {
        var net = new NetSettings { Kind = kind, Embedding = Embedding };
        return new(name, $"training step of {title}, 112×112, batch {batch}: upload, forward, backward, SGD", batch,
            device => GpuSteps.Training(device, net, batch), () => NetSteps.TrainingWork(net, batch), Forms($"net kind={kind} n={batch} emb={Embedding}", "nchw", "cl", "cl-compile"));
    }

    /// The usual form first.
    static PeerForm[] Forms(string arguments, params string[] forms) => [.. forms.Select(form => new PeerForm(form, $"{arguments} form={form}"))];
}
