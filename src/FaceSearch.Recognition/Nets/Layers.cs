using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Nets;

/// <summary>How a network is run: batch statistics and dropout in training; the draws depend on seed and step.</summary>
public readonly record struct Pass(bool Training, ulong Seed = 0, ulong Step = 0, StepExchange? Exchange = null)
{
    public static Pass Inference => default;
}

/// <summary>A part of a network.</summary>
public abstract class Module
{
    public abstract Tensor Forward(Tensor x, Pass pass);
}

/// <summary>
/// Square convolution without bias, padded to keep the size unless stated. He initialisation by fan-out:
/// deviation √(2 / (k²·out/groups)). A batch norm follows everywhere, so the scale only sets the effective rate.
/// </summary>
public sealed class Conv(Weights weights, string name, int inputs, int outputs, int kernel, int stride = 1, int groups = 1, int? padding = null) : Module
{
    readonly Tensor weight = weights.Normal(name + ".weight", Shape.Of(outputs, inputs / groups, kernel, kernel),
        Math.Sqrt(2.0 * groups / (kernel * kernel * (double)outputs)));

    public override Tensor Forward(Tensor x, Pass pass) => x.Conv2d(weight, stride, padding ?? kernel / 2, groups);

    /// <summary>With the norm that follows and a map that is added to it, for inference.</summary>
    public Tensor Fused(Tensor x, BatchNorm norm, Tensor? residual) => x.Conv2dFused(weight, stride, padding ?? kernel / 2, groups, norm.Frozen, residual);

    /// <summary>With its norm, the 1×1 convolution that follows, and its norm.</summary>
    public Tensor Fused(Tensor x, BatchNorm inner, Conv pointwise, BatchNorm outer, Tensor? residual) =>
        x.SeparableConv2d(weight, stride, padding ?? kernel / 2, inner.Frozen, pointwise.weight, outer.Frozen, residual);

    /// <summary>With its norm, the depthwise convolution that follows with its own, and a 1×1 convolution after that if it is given with a norm.</summary>
    public Tensor Fused(Tensor x, BatchNorm first, Conv depthwise, BatchNorm second, Conv? project, BatchNorm? third, Tensor? residual) =>
        x.InvertedResidual(With(first), depthwise.With(second), third is null ? null : project?.With(third), residual);

    NormedConv With(BatchNorm norm) => new(weight, norm.Frozen, stride, padding ?? kernel / 2);

    /// <summary>Whether each channel has a kernel of its own.</summary>
    public bool IsDepthwise => groups == inputs && groups == outputs && groups > 1;
    public bool IsPointwise => IsDense && kernel == 1 && stride == 1;
    public bool IsDense => groups == 1;
}

public sealed class BatchNorm(Weights weights, string name, int channels, bool frozenScale = false) : Module
{
    readonly Tensor gamma = weights.Constant(name + ".gamma", channels, 1, frozenScale), beta = weights.Constant(name + ".beta", channels, 0);
    readonly Tensor mean = weights.Buffer(name + ".mean", channels, 0), variance = weights.Buffer(name + ".variance", channels, 1);
    Tensor? slope;

    /// <summary>Followed by a PReLU that is computed with it.</summary>
    public BatchNorm WithPRelu(string act)
    {
        slope = weights.Constant(act + ".slope", channels, 0.25f);
        return this;
    }

    /// <summary>Followed by a ReLU that is computed with it: a PReLU whose slope stays 0.</summary>
    public BatchNorm WithRelu()
    {
        slope = weights.Fixed(channels, 0);
        return this;
    }

    public override Tensor Forward(Tensor x, Pass pass) => x.BatchNorm(gamma, beta, mean, variance, pass.Training, slope);

    public FrozenNorm Frozen => new(gamma, beta, mean, variance, slope);
}

public sealed class PRelu(Weights weights, string name, int channels) : Module
{
    readonly Tensor slope = weights.Constant(name + ".slope", channels, 0.25f);

    public override Tensor Forward(Tensor x, Pass pass) => x.PRelu(slope);
}

public sealed class Linear(Weights weights, string name, int inputs, int outputs, bool bias = false) : Module
{
    readonly Tensor weight = weights.Normal(name + ".weight", Shape.Of(outputs, inputs), Math.Sqrt(1.0 / inputs));
    readonly Tensor? bias = bias ? weights.Constant(name + ".bias", outputs, 0) : null;

    public override Tensor Forward(Tensor x, Pass pass) => x.Linear(weight, bias);
}

public sealed class Flatten : Module
{
    public override Tensor Forward(Tensor x, Pass pass) => x.Flatten();
}

public sealed class Dropout(double rate) : Module
{
    public override Tensor Forward(Tensor x, Pass pass) => pass.Training && rate > 0 ? x.Dropout((float)rate, pass.Seed, pass.Step, pass.Exchange) : x;
}

/// <summary>Channels weighted by what the whole map shows: x · σ(W₂ relu(W₁ mean(x))) (Hu et al. 2018), reduction 16, at least 8 wide.</summary>
public sealed class SqueezeExcite(Weights weights, string name, int channels) : Module
{
    readonly Conv squeeze = new(weights, name + ".squeeze", channels, Math.Max(8, channels / 16), 1);
    readonly Conv excite = new(weights, name + ".excite", Math.Max(8, channels / 16), channels, 1);

    public override Tensor Forward(Tensor x, Pass pass) =>
        x.Multiply(excite.Forward(squeeze.Forward(x.GlobalAveragePool(), pass).Relu(), pass).Sigmoid());
}

public sealed class Sequential(params Module[] modules) : Module
{
    // One list of all that is run, so that what may be computed together stands together.
    readonly Module[] parts = [.. modules.SelectMany(m => m is Sequential inner ? inner.parts : [m])];

    public override Tensor Forward(Tensor x, Pass pass) => Forward(x, pass, null);

    /// <summary>Whether it can add a map to its result in the same pass over memory: at inference, after a convolution with its norm.</summary>
    public bool Adds(Tensor x, Pass pass) => Fuses(x, pass) && parts is [.., Conv, BatchNorm];

    /// <summary>The result plus the residual, if it <see cref="Adds"/>.</summary>
    public Tensor Forward(Tensor x, Pass pass, Tensor? residual)
    {
        var y = x;
        for (int i = 0; i < parts.Length;)
        {
            var (next, taken) = Fuses(x, pass) ? Fused(y, pass, parts.AsSpan(i), residual) : (parts[i].Forward(y, pass), 1);
            if (y != x && next != y) Free.Between(y, next);
            (y, i) = (next, i + taken);
        }
        return y;
    }

    /// As many of the first parts as can be computed together, with the residual where they are the last.
    static (Tensor Y, int Taken) Fused(Tensor x, Pass pass, ReadOnlySpan<Module> parts, Tensor? residual) => parts switch
    {
        // Where a 1×1 convolution has depthwise ones on both sides, it goes with the next: that reads what it makes.
        [Conv { IsDense: true } expand, BatchNorm first, Conv { IsDepthwise: true } depthwise, BatchNorm second, Conv { IsPointwise: true } project, BatchNorm third, .. var rest] when rest is not [Conv { IsDepthwise: true }, ..] =>
            (expand.Fused(x, first, depthwise, second, project, third, rest.Length == 0 ? residual : null), 6),
        [Conv { IsDense: true } expand, BatchNorm first, Conv { IsDepthwise: true } depthwise, BatchNorm second, ..] => (expand.Fused(x, first, depthwise, second, null, null, parts.Length == 4 ? residual : null), 4),
        [Conv { IsDepthwise: true } depthwise, BatchNorm inner, Conv { IsPointwise: true } pointwise, BatchNorm outer, ..] => (depthwise.Fused(x, inner, pointwise, outer, parts.Length == 4 ? residual : null), 4),
        [Conv conv, BatchNorm norm, ..] => (conv.Fused(x, norm, parts.Length == 2 ? residual : null), 2),
        _ => (parts[0].Forward(x, pass), 1),
    };

    static bool Fuses(Tensor x, Pass pass) => !pass.Training && x.Tape is { Records: false };
}

static class Free
{
    /// Frees what a part of a network made and only its next part reads, unless a backward pass will ask for it.
    public static void Between(Tensor made, Tensor next)
    {
        if (made.Tape is { Records: false }) next.Outlives(made);
    }
}

/// <summary>body(x) + shortcut(x); without a shortcut x itself is added.</summary>
public sealed class Residual(Module body, Module? shortcut = null) : Module
{
    /// <summary>A residual block of a network, with squeeze-and-excitation at the end of its body where the settings ask for it.</summary>
    public static Residual Block(Weights weights, string name, NetSettings net, int channels, Module body, Module? shortcut = null) =>
        new(net.SqueezeExcite ? new Sequential(body, new SqueezeExcite(weights, name + ".attention", channels)) : body, shortcut);

    public override Tensor Forward(Tensor x, Pass pass)
    {
        if (body is Sequential parts && parts.Adds(x, pass))
        {
            var added = shortcut?.Forward(x, pass) ?? x;
            var sum = parts.Forward(x, pass, added);
            if (added != x) Free.Between(added, sum);
            return sum;
        }
        // The shortcut first, as its gradient then comes last, and a 1×1 of step 2 adds to a quarter of the body's.
        Tensor kept = shortcut?.Forward(x, pass) ?? x, change = body.Forward(x, pass), y = change.Add(kept);
        Free.Between(change, y);
        if (kept != x) Free.Between(kept, y);
        return y;
    }
}
