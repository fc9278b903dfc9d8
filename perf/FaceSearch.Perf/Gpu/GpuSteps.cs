using System.Runtime.InteropServices;
using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>
/// Our side of the GPU's cases. A step is done Repeats times and then waited for: the wall clock over all of them, so that starting a
/// kernel costs what it costs in a training.
/// </summary>
static class GpuSteps
{
    const int Short = 10, Long = 2;

    static Step Many(Device device, int repeats, Action once) => new(() =>
    {
        for (int i = 0; i < repeats; i++) once();
        device.Synchronize();
    }, Repeats: repeats, Megabytes: () => device.PeakBytes / 1e6);

    /// <summary>A square product of bf16 by the hand-written kernel alone: C = A·Bᵀ, fp32 sums.</summary>
    public static Step Product(Gpu device, int n)
    {
        Bf16Rows Packed(ulong stream)
        {
            using var floats = device.New(Shape.Of(n, n)).Fill(1, stream);
            return device.Pack(floats);
        }
        Bf16Rows a = Packed(1), b = Packed(2);
        var result = device.New(Shape.Of(n, n));
        return Many(device, Short, () => device.MatMulBf16(a, false, b, true, result, n));
    }

    /// <summary>Forward and both gradients, operands where they were: no tape, no upload.</summary>
    public static Step Convolution(Device device, ConvolutionSize size)
    {
        var (x, weight, y) = size.Shapes;
        Tensor Filled(Shape shape, ulong stream) => device.New(shape).Fill(1, stream);
        Tensor inX = Filled(x, 1), inW = Filled(weight, 2), inDy = Filled(y, 3), outY = device.New(y), dx = device.New(x), dw = device.New(weight);
        return Many(device, Short, () =>
        {
            device.Conv2d(inX, inW, outY, size.Sliding, null);
            device.Conv2dBackward(inX, inDy, inW, dx, dw, size.Sliding);
        });
    }

    public static Step Head(Device device, int classes, int batch, double sample = 1) => Many(device, Long, HeadSteps.Head(device, classes, batch, sample).Run);

    /// <summary>
    /// The product's own step: bytes of images on their way while the step before runs, a head so small that it does not count, SGD at a rate of 0, the
    /// wait for the loss. After the first ones it is a CUDA graph.
    /// </summary>
    public static Step Training(Device device, NetSettings net, int batch)
    {
        const int identities = 16;
        var settings = new Settings { Data = new() { Size = NetSteps.Side }, Net = net, Train = new() { Batch = batch, Clip = 0 } };
        var learner = new Learner(device, settings, identities);
        int sent = 0;
        Send();
        return Many(device, Long, () =>
        {
            learner.Start();
            Send();
            learner.Finish();
        });

        void Send()
        {
            // Either of two places, once.
            if (sent < 2)
            {
                var bytes = MemoryMarshal.AsBytes(learner.Exchange.Next.Span)[..(int)learner.Exchange.Images.Shape.Count];
                for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)Noise.Bits(1, 1, (ulong)i);
            }
            for (int i = 0; i < batch; i++) learner.Exchange.NextLabels[i] = i % identities;
            learner.Send(sent++, 0, new(64, 64, 1, 0.5f, 0), bytes: true);
        }
    }
}

/// <summary>A convolution: square maps, zero border of half the kernel.</summary>
sealed record ConvolutionSize(int Batch, int Channels, int Outputs, int Side, int Kernel, int Stride = 1, bool Depthwise = false)
{
    public Sliding Sliding => new(Stride, Kernel / 2, Depthwise ? Channels : 1);

    public (Shape X, Shape Weight, Shape Y) Shapes
    {
        get
        {
            int side = Sliding.Outputs(Side, Kernel);
            return (Shape.Map(Batch, Channels, Side, Side), Shape.Of(Outputs, Depthwise ? 1 : Channels, Kernel, Kernel), Shape.Map(Batch, Outputs, side, side));
        }
    }

    /// <summary>Three passes, each of which reads two operands and writes one, maps in bf16.</summary>
    public Cost Work
    {
        get
        {
            var (x, weight, y) = Shapes;
            long macs = 3 * y.Count * weight.Cols;
            return new(macs, 2 * macs, 2 * 3 * (x.Count + y.Count + weight.Count));
        }
    }

    /// <summary>In the words of perf/gpu/torch_bench.py.</summary>
    public string Arguments => $"conv n={Batch} c={Channels} k={Outputs} side={Side} kernel={Kernel} stride={Stride} groups={(Depthwise ? Channels : 1)}";
}
