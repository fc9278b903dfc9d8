using System.CommandLine;
using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>`facesearch profile train | head | op`: where the time of a step goes, and how far each op is from what the machine can do.</summary>
static class ProfileVerb
{
    static readonly Option<int> Steps = Whole("--steps", "steps that are measured", 10);
    static readonly Option<int> OpSteps = Whole("--steps", "steps that are measured", 30);
    static readonly Option<int> WarmUp = Whole("--warm-up", "steps before them, not measured; more where they take less than half a second, unless it is 0", 3);
    static readonly Option<int> Identities = Whole("--identities", "identities of the head", 1000);
    static readonly Option<int> HeadIdentities = Whole("--identities", "identities of the head", 100_000);
    static readonly Option<int> Batch = Whole("--batch", "embeddings in a step", 128);
    static readonly Option<int> Dimension = Whole("--dimension", "dimensions of an embedding", 512);
    static readonly Option<bool> Recompute = new("--recompute") { Description = "compute the cosines again in the backward pass, as above the limit of what is kept" };
    static readonly Option<double> Sample = new("--sample") { Description = "share of the identities in a step's softmax (Partial FC)", HelpName = "R", DefaultValueFactory = _ => 1 };
    static readonly Option<bool> Moves = new("--sgd") { Description = "move the centres in the backward pass, as a training with Train.Clip=0 does, instead of leaving their gradient" };
    static readonly Option<string> Precision = new("--precision") { Description = $"{string.Join(" or ", Devices.Precisions)}: bf16 is for GPUs alone", DefaultValueFactory = _ => Devices.Fp32 };
    static readonly Option<bool> Data = new("--data") { Description = "train on the faces that the settings describe; otherwise on random pixels" };

    static readonly Argument<string> Op = new("op") { Description = string.Join(", ", ProfiledOp.All.Select(o => o.Name)), HelpName = "op" };
    static readonly Option<string> Shape = new("--shape") { Description = "of the input: images x channels x height x width, or rows x columns", HelpName = "NxCxHxW", DefaultValueFactory = _ => "" };
    static readonly Option<int> Outputs = Whole("--outputs", "channels, columns or identities of the result; 0 = as many as come in", 0, least: 0);
    static readonly Option<int> Kernel = Whole("--kernel", "side of a convolution's kernel", 3);
    static readonly Option<int> Stride = Whole("--stride", "step of a convolution", 1);
    static readonly Option<int> Padding = Whole("--padding", "border of a convolution; -1 = half its kernel", -1, least: -1);
    static readonly Option<int> Groups = Whole("--groups", "groups of a convolution", 1);
    static readonly Option<string> Gradients = new("--gradients") { Description = "which are computed: all, input, weights or none", DefaultValueFactory = _ => "all" };

    public static Command Create()
    {
        Precision.AcceptOnlyFromAmong([.. Devices.Precisions]);
        Gradients.AcceptOnlyFromAmong("all", "input", "weights", "none");
        Sample.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && result.GetValueOrDefault<double>() is not (> 0 and <= 1)) result.AddError($"--sample: {result.Tokens[0].Value} is out of range, expected above 0 and at most 1");
        });
        return new Command("profile", "Measure each op of a training step against what the machine can do: table, trace, roofline")
        {
            Train(), Head(), OneOp(),
        }.WithExamples(
            "facesearch profile train                       a step of the training that the settings describe",
            "facesearch profile head --identities 100000    the margin head alone",
            "facesearch profile op conv2d                   one op on one shape");
    }

    static Command Train()
    {
        var command = new Command("train", "Profile warm training steps of the network, head and optimiser that the settings describe") { Identities, Data, Steps, WarmUp };
        command.SetAction(result => ProfileRun.Of(result, "train", result.Settings(), Steps, WarmUp, run => ProfiledTraining.Start(run, result.GetValue(Identities), result.GetValue(Data))));
        return ProfileRun.WithOptions(command).WithSettings().WithExamples(
            "facesearch profile train --threads 1",
            "facesearch profile train --set Net.Kind=mobilefacenet --set Data.Size=112 --set Train.Batch=32",
            "facesearch profile train --identities 100000 --set Net.Embedding=512",
            "facesearch profile train --data --set Data.Folder=photographs",
            "facesearch profile train --name before      … change a kernel …",
            "facesearch profile train --name after --compare before",
            "runs/profile/train-1/trace.json opens in ui.perfetto.dev, roofline.svg in a browser");
    }

    static Command Head()
    {
        var command = new Command("head", "Profile the margin head: normalised logits, margin, softmax, loss and both gradients") { HeadIdentities, Batch, Dimension, Recompute, Sample, Moves, Precision, Steps, WarmUp };
        command.SetAction(result => ProfileRun.Of(result, "head", Settings(result), Steps, WarmUp, run => new ProfiledStep(
            run.Device, ProfiledOp.Find("margin_softmax"), new(Tensors.Shape.Of(result.GetValue(Batch), result.GetValue(Dimension)), result.GetValue(HeadIdentities), Recompute: result.GetValue(Recompute), Sample: result.GetValue(Sample), Moves: result.GetValue(Moves)), "all")));
        return ProfileRun.WithOptions(command).WithExamples(
            "facesearch profile head",
            "facesearch profile head --identities 1000000 --batch 64 --dimension 512 --steps 3",
            "facesearch profile head --identities 1000000 --sample 0.1    Partial FC: a tenth of them in a step",
            "facesearch profile head --identities 10000000 --batch 1024 --sample 0.1 --sgd --device cuda --precision bf16",
            "facesearch profile head --recompute --threads 1",
            "facesearch profile head --threads 1 --instructions AVX2");
    }

    static Command OneOp()
    {
        var command = new Command("op", "Profile one op, forward and backward, on one shape") { Op, Shape, Outputs, Kernel, Stride, Padding, Groups, Gradients, Precision, OpSteps, WarmUp };
        command.SetAction(result =>
        {
            var op = ProfiledOp.Find(result.GetValue(Op)!);
            var size = new OpSize(op.ShapeOf(result.GetValue(Shape)!), result.GetValue(Outputs), result.GetValue(Kernel), result.GetValue(Stride), result.GetValue(Padding), result.GetValue(Groups));
            return ProfileRun.Of(result, op.Name, Settings(result), OpSteps, WarmUp, run => new ProfiledStep(run.Device, op, size, result.GetValue(Gradients)!));
        });
        return ProfileRun.WithOptions(command).WithExamples(
        [
            "facesearch profile op conv2d --shape 64x64x28x28 --outputs 128 --stride 2",
            "facesearch profile op conv2d --kernel 1 --gradients weights        backward is then the weight's gradient alone",
            "facesearch profile op depthwise --shape 32x128x56x56 --threads 1",
            "facesearch profile op linear --shape 128x512 --outputs 10000 --instructions AVX2",
            .. ProfiledOp.All.Select(o => $"facesearch profile op {o.Name,-20} {o.Help}; default --shape {string.Join('x', o.Shape)}"),
        ]);
    }

    static SearchSettings Settings(ParseResult result) => new() { Train = new() { Precision = result.GetValue(Precision)! } };

    static Option<int> Whole(string name, string description, int otherwise, int least = 1)
    {
        var option = new Option<int>(name) { Description = description, HelpName = "N", DefaultValueFactory = _ => otherwise };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count > 0 && int.TryParse(result.Tokens[0].Value, out int value) && value < least) result.AddError($"{name}: {value} is out of range, expected {least} or more");
        });
        return option;
    }
}
