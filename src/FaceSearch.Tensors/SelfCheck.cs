namespace FaceSearch.Tensors;

/// <summary>Whether a device computes what the reference does, on this machine and this driver: a small network, forward and backward.</summary>
public static class SelfCheck
{
    const int Images = 6, Side = 20, Channels = 12, Features = 40, Classes = 300;

    /// <summary>
    /// Largest difference of the loss and of every gradient from fp64, relative to the largest value of each. About 10⁻⁶
    /// for floats; anything above 10⁻⁴ is no rounding. NaN where the device gives none.
    /// </summary>
    public static double Difference(Device device)
    {
        using var reference = new Reference();
        float[][] expected = Run(reference), actual = Run(device);
        // A maximum that a NaN survives.
        return expected.Zip(actual, Difference).Aggregate(0.0, Math.Max);
    }

    static double Difference(float[] expected, float[] actual)
    {
        double scale = expected.Max(e => Math.Abs((double)e));
        return expected.Zip(actual, (e, a) => Math.Abs((double)e - a) / scale).Aggregate(0.0, Math.Max);
    }

    /// Dense, depthwise and strided convolutions, norms, a sum, pooling, squeeze-excite, a linear layer and the margin head: the loss and all gradients.
    static float[][] Run(Device device)
    {
        ulong stream = 0;
        Tensor Parameter(Shape shape, float around = 0) => Named(device.Parameter("", shape), around);
        Tensor Named(Tensor parameter, float around)
        {
            stream++;
            device.Write(parameter, [.. Enumerable.Range(0, (int)parameter.Shape.Count).Select(i => around + 0.3f * (float)Noise.Normal(1, stream, (ulong)i))]);
            return parameter;
        }
        var perChannel = Shape.Of(Channels);
        Tensor first = Parameter(Shape.Of(Channels, 3, 3, 3)), depthwise = Parameter(Shape.Of(Channels, 1, 3, 3)), second = Parameter(Shape.Of(Channels, Channels, 3, 3));
        Tensor gamma = Parameter(perChannel, 1), beta = Parameter(perChannel), slope = Parameter(perChannel, 0.25f), squeeze = Parameter(Shape.Of(Channels, Channels, 1, 1));
        Tensor linear = Parameter(Shape.Of(Features, Channels * Side / 2 * Side / 2)), centres = Parameter(Shape.Of(Classes, Features));
        using Tensor mean = device.Parameter("", perChannel, frozen: true), variance = device.Parameter("", perChannel, frozen: true);
        Tensor[] parameters = [first, depthwise, second, gamma, beta, slope, squeeze, linear, centres];

        using var tape = new Tape(device);
        var pixels = Shape.Map(Images, 3, Side, Side);
        var x = tape.Input(pixels, [.. Enumerable.Range(0, (int)pixels.Count).Select(i => (float)Noise.Normal(1, 0, (ulong)i))]).Conv2d(first, padding: 1);
        x = x.BatchNorm(gamma, beta, mean, variance, training: true, slope);
        x = x.Conv2d(depthwise, padding: 1, groups: Channels).Add(x).Conv2d(second, stride: 2, padding: 1);
        x = x.Multiply(x.GlobalAveragePool().Conv2d(squeeze).Sigmoid()).Flatten().Dropout(0.2f, 1, 1).Linear(linear);
        var loss = x.MarginSoftmax(centres, [.. Enumerable.Range(0, Images).Select(i => 49 * i)], new(16, 12, 1.1f, 0.3f, 0.1f), recompute: true);
        float value = loss.Item();
        tape.Backward(loss);
        float[][] results = [[value], .. parameters.Select(p => p.Gradient!.ToArray())];
        foreach (var parameter in parameters) parameter.Dispose();
        return results;
    }
}
