using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Single ops, and one block of a network.</summary>
static class OpSteps
{
    const int Batch = 32, BlockChannels = 128, BlockHidden = 256, BlockSide = 14;

    public static Step Product(Device device, int m, int n, int k)
    {
        Tensor x = device.New(Shape.Of(m, k)).Fill(1, 1), weight = device.New(Shape.Of(n, k)).Fill(1, 2);
        return new(() => x.Linear(weight).Dispose());
    }

    public static Cost ProductWork(int m, int n, int k)
    {
        long macs = (long)m * n * k;
        return new(macs, 2 * macs, 4L * (m * k + n * (long)k + m * (long)n));
    }

    public static Step Convolution(Device device, int channels, int side, int stride, int groups) =>
        ForwardBackward(Convolution(new(device, seed: 1), channels, stride, groups), Shape.Map(Batch, channels, side, side), stride);

    public static Cost ConvolutionWork(int channels, int side, int stride, int groups)
    {
        using var meter = new Meter();
        return Work(Convolution(new(meter, seed: 1), channels, stride, groups), Shape.Map(Batch, channels, side, side));
    }

    static Part Convolution(Weights weights, int channels, int stride, int groups) => new(weights, new Conv(weights, "conv", channels, channels, 3, stride, groups));

    public static Step Block(Device device) => ForwardBackward(Block(new Weights(device, seed: 1)), Shape.Map(Batch, BlockChannels, BlockSide, BlockSide));

    public static Cost BlockWork()
    {
        using var meter = new Meter();
        return Work(Block(new Weights(meter, seed: 1)), Shape.Map(Batch, BlockChannels, BlockSide, BlockSide));
    }

    static Part Block(Weights weights) => new(weights, new Residual(new Sequential(
        new Conv(weights, "expand", BlockChannels, BlockHidden, 1), new BatchNorm(weights, "expand.norm", BlockHidden).WithPRelu("expand.act"),
        new Conv(weights, "depthwise", BlockHidden, BlockHidden, 3, groups: BlockHidden), new BatchNorm(weights, "depthwise.norm", BlockHidden).WithPRelu("depthwise.act"),
        new Conv(weights, "project", BlockHidden, BlockChannels, 1), new BatchNorm(weights, "project.norm", BlockChannels))));

    readonly record struct Part(Weights Weights, Module Module);

    /// The input's gradient and all parameters' gradients of a part that keeps the map's channels and divides its sides. The input and the gradient of
    /// the output are written anew before each step, untimed: the tape takes both over.
    static Step ForwardBackward(Part part, Shape shape, int stride = 1)
    {
        var device = part.Weights.Device;
        Tape tape = new(device);
        Tensor? x = null, dy = null;
        return new(Run, Prepare);

        void Prepare()
        {
            tape.Dispose();
            tape = new(device);
            x = tape.New(shape).Fill(1, 1);
            x.NeedsGradient = true;
            dy = device.New(Shape.Map(shape.Images, shape.Channels, shape.Height / stride, shape.Width / stride)).Fill(1, 2);
        }

        void Run()
        {
            tape.Seed(part.Module.Forward(x!, new(Training: true)), dy!);
            foreach (var parameter in part.Weights.Parameters) parameter.DropGradient();
        }
    }

    static Cost Work(Part part, Shape shape)
    {
        using var tape = new Tape(part.Weights.Device);
        var x = tape.New(shape);
        x.NeedsGradient = true;
        part.Module.Forward(x, new(Training: true));
        return tape.Forward + tape.BackwardCost;
    }
}
