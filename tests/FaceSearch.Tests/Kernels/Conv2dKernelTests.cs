using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>Convolutions on emulated kernels: forward, both gradients and moments against the fp64 reference.</summary>
public class Conv2dKernelTests
{
    /// Images, channels, height, width, outputs, kernel height and width, stride, padding.
    public static TheoryData<int[]> Convolutions => new(
    [
        [2, 3, 9, 7, 5, 3, 3, 1, 1], [1, 16, 14, 13, 130, 3, 3, 2, 1], [3, 24, 6, 5, 17, 1, 1, 1, 0], [2, 8, 11, 9, 9, 5, 3, 3, 2],
        [1, 40, 7, 7, 8, 7, 7, 1, 0], [1, 8, 7, 7, 8, 1, 1, 2, 0], [3, 17, 12, 12, 20, 3, 3, 1, 1], [2, 13, 6, 6, 12, 2, 2, 3, 1],
        [1, 72, 6, 7, 12, 3, 3, 2, 1], [2, 20, 7, 7, 70, 3, 3, 1, 1], [1, 64, 5, 5, 64, 3, 3, 1, 1],
    ]);

    [Theory, MemberData(nameof(Convolutions))]
    public void MatchesReference(int[] s) => Case(s, false).Check();

    [Theory, InlineData(true, true, 0), InlineData(true, false, 1), InlineData(false, true, 6), InlineData(false, false, 3)]
    public void NormalisesWhatItLoads(bool withSlope, bool withResidual, int which) =>
        Case(Convolutions.ElementAt(which).Data, true, withSlope, withResidual).Check();

    /// Of 64 channels and more: one box of a tap and several, full and not; one tile and several, of both widths; paddings smaller and larger than the kernel's half.
    public static TheoryData<int[]> Wide => new(
    [
        [1, 64, 5, 5, 64, 3, 3, 1, 1], [2, 72, 9, 7, 130, 3, 3, 1, 1], [1, 200, 6, 7, 72, 1, 1, 1, 0], [3, 64, 13, 11, 70, 3, 3, 2, 1], [2, 128, 8, 8, 64, 1, 1, 2, 0],
        [1, 64, 9, 8, 65, 2, 3, 1, 0], [1, 65, 7, 6, 66, 3, 3, 1, 3], [2, 136, 7, 7, 200, 3, 1, 3, 1], [1, 64, 1, 1, 64, 3, 3, 1, 1], [5, 64, 4, 3, 129, 1, 1, 1, 1],
    ]);

    [Theory, MemberData(nameof(Wide))]
    public void HopperMatchesReference(int[] s)
    {
        Case(s, false, hopper: true).Check();
        Case(s, true, hopper: true).Check();
    }

    [Theory, InlineData(true, false, 1), InlineData(false, true, 3), InlineData(false, false, 6)]
    public void HopperNormalisesWhatItLoads(bool withSlope, bool withResidual, int which) =>
        Case(Wide.ElementAt(which).Data, true, withSlope, withResidual, hopper: true).Check();

    /// Images, channels, height, width, kernel height and width, stride, padding.
    public static TheoryData<int[]> Depthwise => new([[2, 5, 9, 7, 3, 3, 1, 1], [1, 70, 8, 9, 3, 3, 2, 1], [3, 24, 7, 7, 7, 7, 1, 0], [1, 12, 10, 6, 5, 3, 3, 2]]);

    [Theory, MemberData(nameof(Depthwise))]
    public void DepthwiseMatchesReference(int[] s)
    {
        DepthwiseCase(s, false).Check();
        DepthwiseCase(s, true).Check();
    }

    /// Other shapes every run.
    [Fact]
    public void MatchesAtAnyShape()
    {
        for (int n = 0; n < Fuzz.Times; n++)
        {
            int Draw(int i, int least, int most) => least + Fuzz.Below(most - least + 1, 60 + n, i);
            int height = Draw(0, 1, 5), width = Draw(1, 1, 5), stride = Draw(2, 1, 3), padding = Draw(3, 0, Math.Min(height, width) - 1), channels = Draw(4, 1, 90);
            int[] map = [Draw(5, 1, 3), channels, Draw(6, height, height + 9), Draw(7, width, width + 9)];
            if (n % 3 == 2) DepthwiseCase([.. map, height, width, stride, padding], n % 2 == 0).Check();
            else Case([.. map, Draw(8, 1, 150), height, width, stride, padding], n % 2 == 0, n % 4 == 0, n % 5 == 0).Check();
        }
    }

    const long MostProducts = 15_000_000;

    /// Gradients of 64 channels and more gather on either side.
    [Fact]
    public void HopperMatchesAtAnyShape()
    {
        for (int n = 0; n < Fuzz.Times; n++)
        {
            int Draw(int i, int least, int most) => least + Fuzz.Below(most - least + 1, 900 + n, i);
            int height = Draw(0, 1, 5), width = Draw(1, 1, 5), stride = n % 2 == 0 ? 1 : Draw(2, 1, 3), padding = Draw(3, 0, Math.Max(height, width));
            int[] s = [Draw(4, 1, 3), Draw(5, 64, 200), Draw(6, height, height + 9), Draw(7, width, width + 9), Draw(8, 64, 200), height, width, stride, padding];
            // The largest would take the emulator a minute.
            long Products(int images, int outputs) => (long)images * outputs * s[1] * height * width * ((s[2] + 2 * padding - height) / stride + 1) * ((s[3] + 2 * padding - width) / stride + 1);
            s[0] = (int)Math.Clamp(MostProducts / Products(1, s[4]), 1, s[0]);
            s[4] = (int)Math.Clamp(MostProducts / Products(1, 1), 64, s[4]);
            Case(s, n % 3 > 0, n % 4 > 0, n % 5 == 0, hopper: true).Check();
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void OrderOfThreadsDoesNotChangeABit(bool hopper)
    {
        Func<ConvolutionCase>[] narrow = [() => Case([2, 12, 12, 11, 136, 3, 3, 2, 1], true), () => DepthwiseCase([2, 70, 9, 9, 3, 3, 1, 1], true)];
        Func<ConvolutionCase>[] wide = [() => Case([2, 72, 12, 11, 136, 3, 3, 1, 1], true, hopper: true), () => Case([1, 128, 12, 12, 64, 3, 3, 2, 1], true, hopper: true)];
        foreach (var make in hopper ? wide : narrow)
        {
            var runs = Enum.GetValues<Order>().Select(order =>
            {
                var test = make();
                test.Check(order);
                return test.Results;
            }).ToArray();
            Assert.All(runs, run => Assert.Equal(runs[0], run));
        }
    }

    /// Σx² − (Σx)²/n fails here.
    [Fact]
    public void MomentsBearAMeanFarFromZero()
    {
        const int outputs = 1000, channels = 11, pitch = 16, tile = 128, tiles = 8;
        double[] values = [.. Expect.Normal(Shape.Of(outputs, channels), 8).Select(v => 1000 + (double)v)];
        using Global<float> parts = new(2 * tiles * pitch), moments = new(2 * channels);
        for (int t = 0; t < tiles; t++)
            for (int c = 0; c < channels; c++)
            {
                double[] some = [.. Enumerable.Range(t * tile, Math.Min(tile, outputs - t * tile)).Select(i => values[i * channels + c])];
                parts.Values[2 * (t * pitch + c)] = (float)some.Sum();
                parts.Values[2 * (t * pitch + c) + 1] = (float)some.Sum(v => (v - some.Average()) * (v - some.Average()));
            }
        var args = new Conv2dMomentsArguments { Tiles = parts.Address, Moments = moments.Address, Outputs = outputs, Pitch = pitch, Channels = channels, TileOutputs = tile };
        Emulator.Run(CudaKernels.Conv2dMoments(args), args);
        for (int c = 0; c < channels; c++)
        {
            double[] all = [.. Enumerable.Range(0, outputs).Select(i => values[i * channels + c])];
            double mean = all.Average(), variance = all.Average(v => (v - mean) * (v - mean));
            Assert.InRange(moments.Values[c], mean - 2e-4, mean + 2e-4);
            Assert.InRange(moments.Values[channels + c], 0.999 * variance, 1.001 * variance);
        }
    }

    static ConvolutionCase Case(int[] s, bool normalise, bool withSlope = true, bool withResidual = true, bool hopper = false) =>
        new(Shape.Map(s[0], s[1], s[2], s[3]), Shape.Of(s[4], s[1], s[5], s[6]), new Sliding(s[7], s[8], 1), normalise, withSlope, withResidual, hopper);

    static ConvolutionCase DepthwiseCase(int[] s, bool normalise) =>
        new(Shape.Map(s[0], s[1], s[2], s[3]), Shape.Of(s[1], 1, s[4], s[5]), new Sliding(s[6], s[7], s[1]), normalise, true, true);
}
