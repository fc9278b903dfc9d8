using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>What shape an op is profiled on. A number of 0 means the op's own default.</summary>
/// <param name="Outputs">Channels, columns or classes of the result.</param>
/// <param name="Recompute">The head's cosines are computed again in its backward pass.</param>
/// <param name="Sample">Share of the identities in a step of the head.</param>
/// <param name="Moves">The head moves its centres.</param>
sealed record OpSize(Shape X, int Outputs = 0, int Kernel = 3, int Stride = 1, int Padding = -1, int Groups = 1, bool Recompute = false, double Sample = 1, bool Moves = false)
{
    public int OutputsOr(int otherwise) => Outputs > 0 ? Outputs : otherwise;
    public int PaddingOrSame => Padding >= 0 ? Padding : Kernel / 2;
}

/// <summary>An op by name: what it takes for granted and how it is applied. Apply makes the weights once and returns the op.</summary>
sealed record ProfiledOp(string Name, int[] Shape, string Help, Func<OpWeights, OpSize, Func<Tensor, Tensor>> Apply)
{
    /// <summary>Maps and matrices alike.</summary>
    public bool TakesBoth { get; init; }

    static readonly int[] map = [64, 64, 28, 28], matrix = [1024, 1024];

    public static IReadOnlyList<ProfiledOp> All { get; } =
    [
        new("conv2d", map, "3×3 convolution; --outputs --kernel --stride --padding --groups", Conv2d),
        new("depthwise", map, "3×3 depthwise convolution; --kernel --stride --padding", (weights, size) =>
            Conv2d(weights, size with { Outputs = size.X.Channels, Groups = size.X.Channels })),
        new("linear", matrix, "y = x·Wᵀ; --outputs", (weights, size) => Linear(weights.New(size.OutputsOr(size.X.Cols), size.X.Cols))),
        new("residual", map, "convolution, batch norm and PReLU added to their input: what is deferred is computed by who reads it; --kernel", Residual),
        new("batch_norm", map, "batch norm in training: on a map its statistics and gradient, the values are the reader's work", BatchNorm) { TakesBoth = true },
        new("prelu", map, "PReLU, a slope for each channel", (weights, size) => PRelu(weights.New(size.X.Channels))) { TakesBoth = true },
        new("relu", map, "max(x, 0)", (_, _) => x => x.Relu()) { TakesBoth = true },
        new("sigmoid", map, "1 / (1 + e⁻ˣ)", (_, _) => x => x.Sigmoid()) { TakesBoth = true },
        new("swish", map, "x·sigmoid(x)", (_, _) => x => x.Swish()) { TakesBoth = true },
        new("add", map, "sum of two tensors", (weights, size) => Add(weights.New(size.X))) { TakesBoth = true },
        new("multiply", map, "product of two tensors", (weights, size) => Multiply(weights.New(size.X))) { TakesBoth = true },
        new("global_average_pool", map, "mean of each plane", (_, _) => x => x.GlobalAveragePool()),
        new("flatten", [64, 512, 7, 7], "map to matrix", (_, _) => x => x.Flatten()),
        new("dropout", matrix, "rate 0.5", (_, _) => x => x.Dropout(0.5f, seed: 1, step: 0)) { TakesBoth = true },
        new("normalize", [128, 512], "rows divided by their lengths", (_, _) => x => x.Normalize()),
        new("margin_softmax", [128, 512], "the head: loss and both gradients; --outputs = identities", (weights, size) =>
            Head(weights, size)),
    ];

    public static ProfiledOp Find(string name) => All.FirstOrDefault(op => op.Name == name)
        ?? throw new InputException($"no op '{name}'; known are {string.Join(", ", All.Select(op => op.Name))}");

    /// <summary>`64x64x28x28` (or with × or commas): four sizes are a map, two a matrix.</summary>
    public Shape ShapeOf(string text)
    {
        var parts = text.Length == 0 ? Shape : [.. text.Split('x', '×', ',').Select(part => int.TryParse(part, out int size) && size > 0 ? size : 0)];
        bool right = parts.All(p => p > 0) && (parts.Length == Shape.Length || (TakesBoth && parts.Length is 2 or 4));
        if (!right) throw new InputException($"--shape {text}: {Name} takes {(Shape.Length == 4 ? "images x channels x height x width" : "rows x columns")}, for example {string.Join('x', Shape)}");
        return parts is [var n, var c, var h, var w] ? FaceSearch.Tensors.Shape.Map(n, c, h, w) : FaceSearch.Tensors.Shape.Of(parts);
    }

    static Func<Tensor, Tensor> Conv2d(OpWeights weights, OpSize size)
    {
        var kernel = weights.New(size.OutputsOr(size.X.Channels), Math.Max(1, size.X.Channels / size.Groups), size.Kernel, size.Kernel);
        return x => x.Conv2d(kernel, size.Stride, size.PaddingOrSame, size.Groups);
    }

    static Func<Tensor, Tensor> Residual(OpWeights weights, OpSize size)
    {
        var convolution = Conv2d(weights, size with { Outputs = size.X.Channels, Stride = 1, Padding = -1 });
        Tensor New() => weights.New(size.X.Channels);
        Tensor gamma = New(), beta = New(), mean = New(), variance = New(), slope = New();
        return x => convolution(x).BatchNorm(gamma, beta, mean, variance, training: true, slope).Add(x);
    }

    static Func<Tensor, Tensor> BatchNorm(OpWeights weights, OpSize size)
    {
        Tensor New() => weights.New(size.X.Channels);
        Tensor gamma = New(), beta = New(), mean = New(), variance = New();
        return x => x.BatchNorm(gamma, beta, mean, variance, training: true);
    }

    static Func<Tensor, Tensor> Linear(Tensor weight) => x => x.Linear(weight);
    static Func<Tensor, Tensor> PRelu(Tensor slope) => x => x.PRelu(slope);
    static Func<Tensor, Tensor> Add(Tensor other) => x => x.Add(other);
    static Func<Tensor, Tensor> Multiply(Tensor other) => x => x.Multiply(other);

    static Func<Tensor, Tensor> Head(OpWeights weights, OpSize size)
    {
        var centres = weights.New(size.OutputsOr(10000), size.X.Cols);
        // So low a rate that the centres stay what they are.
        var update = size.Moves ? new CentreUpdate(weights.New(centres.Shape, isFrozen: true), Rate: 1e-6f, Momentum: 0.9f, Nesterov: true, WeightDecay: 5e-4f) : null;
        int identities = centres.Shape.Rows, batch = size.X.Rows;
        var labels = Enumerable.Range(0, batch).Select(i => (int)((long)i * identities / batch)).ToArray();
        // Each step draws anew, as a training's do.
        ulong step = 0;
        return x => x.MarginSoftmax(centres, labels, new(64, 64, 1, 0.5f, 0), size.Recompute, update, partial: new(size.Sample, Seed: 1, step++));
    }
}

/// <summary>Makes an op's other operands and drops their gradients after a step.</summary>
sealed class OpWeights(Device device, bool frozen)
{
    // Values repeat after a prime number: drawing millions would take longer than what is measured.
    const int Period = 65537;
    static readonly float[] normal = [.. Enumerable.Range(0, Period).Select(i => (float)Noise.Normal(1, 0, (ulong)i))];

    readonly List<Tensor> all = [];

    public Tensor New(params int[] dims) => New(Shape.Of(dims));

    public Tensor New(Shape shape, bool? isFrozen = null)
    {
        var tensor = device.Parameter("weight", shape, isFrozen ?? frozen);
        all.Add(tensor);
        if (device.IsMeter) return tensor;
        if (shape.IsMap) device.Write(tensor, Values(shape));
        else
            foreach (var (first, count) in shape.Pieces()) device.Write(tensor, first, Values(first, count));
        return tensor;
    }

    public static float[] Values(Shape shape) => Values(0, checked((int)shape.Count));

    /// From place `first` on.
    static float[] Values(long first, int count)
    {
        var values = new float[count];
        for (int i = 0; i < count;)
        {
            int from = (int)((first + i) % Period), some = Math.Min(Period - from, count - i);
            normal.AsSpan(from, some).CopyTo(values.AsSpan(i));
            i += some;
        }
        return values;
    }

    public void DropGradients()
    {
        foreach (var tensor in all) tensor.DropGradient();
    }
}
