using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>
/// The fast path of 3×3 convolutions. Maps that tiles of five outputs cover have a slack of two against plain float sums: where
/// few channels are summed the rounding of the transforms counts (Conv2d.Cpu.Winograd.cs), and they amplify it most in a tile's corners.
/// Others have none.
/// </summary>
public class Conv2dWinogradTests
{
    // images, channels, height, width, outputs, stride: tiles of all forms, that fit and that do not, several bands, groups of images and slabs of inputs, channels too few.
    static readonly int[][] plain =
    [
        [2, 16, 1, 1, 16, 1], [3, 17, 3, 3, 32, 1], [1, 32, 4, 4, 48, 1], [2, 48, 5, 5, 17, 1], [3, 16, 7, 7, 33, 1], [2, 32, 12, 12, 16, 1], [1, 17, 14, 14, 32, 1], [1, 48, 17, 17, 16, 1],
        [1, 16, 1, 12, 16, 1], [2, 4, 17, 12, 3, 1], [1, 3, 9, 8, 4, 1], [1, 16, 5, 61, 16, 1], [1, 16, 59, 60, 16, 1], [70, 16, 5, 6, 17, 1], [9, 5, 2, 3, 20, 1], [1, 80, 8, 10, 112, 1], [1, 273, 9, 10, 17, 1],
    ];
    static readonly int[][] cases = [.. plain, .. plain.Select(Strided), [2, 17, 13, 27, 35, 2], [1, 20, 12, 12, 16, 2], [2, 16, 9, 10, 16, 2]];

    /// The convolution of stride 2 with the result of one of stride 1: of an even side after an odd number of outputs, and of an odd one after an even number.
    static int[] Strided(int[] c) => [c[0], c[1], 2 * c[2] - (c[2] + 1) % 2, 2 * c[3] - (c[3] + 1) % 2, c[4], 2];

    static double Slack(int[] c) => c[5] == 1 && (new WinogradSide(c[2]).HasFives || new WinogradSide(c[3]).HasFives) ? 2 : 1;

    static Op Convolve(int[] c) => x => x[0].Conv2d(x[1], c[5], padding: 1);

    static Shape[] Shapes(int[] c) => [Shape.Map(c[0], c[1], c[2], c[3]), Shape.Of(c[4], c[1], 3, 3)];

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (int[] c in cases) SameAsReference(device, c, Slack(c));
    }

    [Theory, EveryDevice(Gpu = false)]
    public void EveryHeightAndWidthMatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        for (int height = 1; height <= 20; height++)
            for (int width = 1; width <= 20; width++)
            {
                int[] single = [1, 5, height, width, 4, 1], strided = [1, 16, height, width, 17, 2];
                SameAsReference(device, single, Slack(single));
                // Larger sides repeat the tiles of these.
                if (height <= 14 && width <= 14) SameAsReference(device, strided, Slack(strided));
            }
    }

    [Theory, EveryDevice(Gpu = false)]
    public void ExactMatchesReferenceToo(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads, exact: true);
        foreach (int[] c in (int[][])[.. plain[..8], .. plain[..8].Select(Strided)]) SameAsReference(device, c, slack: 1);
    }

    // The longest of the three sums.
    static void SameAsReference(Device device, int[] c, double slack) =>
        Expect.SameAsReference(device, Convolve(c), Shapes(c), Math.Max(9 * Math.Max(c[1], c[4]), c[0] * ((c[2] + c[5] - 1) / c[5]) * ((c[3] + c[5] - 1) / c[5])), slack);

    /// With stride 1: tiles of stride 2 err no more than the direct sum.
    [Theory, EveryDevice(Gpu = false)]
    public void ExactIsNearerToReference(string instructionSet, int threads)
    {
        using Device reference = new Reference(), exact = TestDevice.Open(instructionSet, threads, exact: true), fast = TestDevice.Open(instructionSet, threads);
        int[] shape = [2, 48, 14, 14, 48, 1];
        float[][] expected = Run(reference, shape), near = Run(exact, shape), far = Run(fast, shape);
        for (int i = 0; i < 3; i++) Assert.True(Error(expected[i], near[i]) < 0.8 * Error(expected[i], far[i]), $"result {i}: {Error(expected[i], near[i]):E1} exact, {Error(expected[i], far[i]):E1} fast");

        static double Error(float[] expected, float[] actual) => Math.Sqrt(expected.Zip(actual, (e, a) => Math.Pow(e - a, 2)).Sum());
    }

    static readonly int[][] wide = [[151, 32, 3, 3, 1344, 1], [151, 80, 3, 3, 96, 1], [151, 80, 5, 6, 96, 2], [12, 96, 14, 13, 96, 1]];

    /// Wide layers, and those of two partial sums beside more threads, share each part among the threads; several parts are too much for the reference, so the direct kernels say what is right.
    [Theory, EveryDevice(Gpu = false)]
    public void PartsOfAWideLayerAddUp(string instructionSet, int threads)
    {
        using Device exact = TestDevice.Open(instructionSet, threads, exact: true), fast = TestDevice.Open(instructionSet, threads);
        double bound = Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(151 * 9));
        foreach (int[] c in wide)
        {
            float[][] expected = Run(exact, c), actual = Run(fast, c);
            for (int i = 0; i < expected.Length; i++) Expect.Close(expected[i], actual[i], bound, $"stride {c[5]}, result {i} on {fast.Name}");
        }
    }

    [Fact]
    public void ExactIsAskedForAtCreation()
    {
        foreach (var set in Cpu.InstructionSets.Where(s => s.Supported))
        {
            using Device exact = Cpu.Create(1, set.Name, exact: true), fast = Cpu.Create(1, set.Name), same = TestDevice.Open(set.Name, 1, exact: true);
            int[] map = [1, 16, 8, 8, 16, 1];
            Assert.NotEqual(Run(exact, map)[0], Run(fast, map)[0]);
            Assert.Equal(Run(exact, map), Run(same, map));
        }
    }

    [Fact]
    public void ThreadsDoNotChangeABit()
    {
        foreach (var set in Cpu.InstructionSets.Where(s => s.Supported))
        {
            using Device one = TestDevice.Open(set.Name, 1), three = TestDevice.Open(set.Name, 3);
            foreach (int[] c in cases.Concat(wide)) Assert.Equal(Run(one, c), Run(three, c));
        }
    }

    [Fact]
    public void AnImageDoesNotFeelItsBatch()
    {
        using var device = Cpu.Create(2);
        foreach (int[] c in cases.Where(c => c[0] > 1))
        {
            int[] single = [1, .. c[1..]];
            float[] x = Expect.Normal(Shapes(c)[0], 0), w = Expect.Normal(Shapes(c)[1], 1), all = Forward(c, x);
            int inputs = x.Length / c[0], outputs = all.Length / c[0], last = c[0] - 1;
            Assert.Equal(all[(last * outputs)..], Forward(single, x[(last * inputs)..]));

            float[] Forward(int[] c, float[] x)
            {
                using Tensor map = device.From(Shapes(c)[0], x), weight = device.From(Shapes(c)[1], w), y = Convolve(c)([map, weight]);
                return y.ToArray();
            }
        }
    }

    [Theory, EveryDevice]
    public void LanesPastTheChannelsAreZero(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (int[] c in cases)
        {
            using Tensor x = device.From(Shapes(c)[0], Expect.Normal(Shapes(c)[0], 0)), weight = device.From(Shapes(c)[1], Expect.Normal(Shapes(c)[1], 1));
            using Tensor y = Convolve(c)([x, weight]), dx = device.New(x.Shape);
            device.Conv2dData(y, weight, dx, new(c[5], 1, 1));
            Assert.True(Padding.IsZero(y) && Padding.IsZero(dx), string.Join(" ", c));
        }
    }

    static float[][] Run(Device device, int[] c) => Expect.Run(device, Convolve(c), Shapes(c), [.. Shapes(c).Select(Expect.Normal)]);
}
