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
    static double Slack(int[] c) => new WinogradSide(c[2]).Fives + new WinogradSide(c[3]).Fives > 0 ? 2 : 1;

    // images, channels, height, width, outputs: tiles of all forms, that fit and that do not, several bands, groups of images and slabs of inputs, channels too few.
    static readonly int[][] cases =
    [
        [2, 16, 1, 1, 16], [3, 17, 3, 3, 32], [1, 32, 4, 4, 48], [2, 48, 5, 5, 17], [3, 16, 7, 7, 33], [2, 32, 12, 12, 16], [1, 17, 14, 14, 32], [1, 48, 17, 17, 16],
        [1, 16, 1, 12, 16], [2, 4, 17, 12, 3], [1, 3, 9, 8, 4], [1, 16, 5, 61, 16], [1, 16, 59, 60, 16], [70, 16, 5, 6, 17], [9, 5, 2, 3, 20], [1, 80, 8, 10, 112], [1, 273, 9, 10, 17],
    ];

    static Tensor Convolve(Tensor[] x) => x[0].Conv2d(x[1], padding: 1);

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
            for (int width = 1; width <= 20; width++) SameAsReference(device, [1, 5, height, width, 4], Slack([1, 5, height, width, 4]));
    }

    [Theory, EveryDevice(Gpu = false)]
    public void ExactMatchesReferenceToo(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads, exact: true);
        foreach (int[] c in cases[..8]) SameAsReference(device, c, slack: 1);
    }

    // The longest of the three sums.
    static void SameAsReference(Device device, int[] c, double slack) =>
        Expect.SameAsReference(device, Convolve, Shapes(c), Math.Max(9 * Math.Max(c[1], c[4]), c[0] * c[2] * c[3]), slack);

    [Theory, EveryDevice(Gpu = false)]
    public void ExactIsNearerToReference(string instructionSet, int threads)
    {
        using Device reference = new Reference(), exact = TestDevice.Open(instructionSet, threads, exact: true), fast = TestDevice.Open(instructionSet, threads);
        int[] shape = [2, 48, 14, 14, 48];
        float[][] expected = Run(reference, shape), near = Run(exact, shape), far = Run(fast, shape);
        for (int i = 0; i < 3; i++) Assert.True(Error(expected[i], near[i]) < 0.8 * Error(expected[i], far[i]), $"result {i}: {Error(expected[i], near[i]):E1} exact, {Error(expected[i], far[i]):E1} fast");

        static double Error(float[] expected, float[] actual) => Math.Sqrt(expected.Zip(actual, (e, a) => Math.Pow(e - a, 2)).Sum());
    }

    /// Wide layers share each part among the threads; several parts are too much for the reference, so the direct kernels say what is right.
    [Theory, EveryDevice(Gpu = false)]
    public void PartsOfAWideLayerAddUp(string instructionSet, int threads)
    {
        using Device exact = TestDevice.Open(instructionSet, threads, exact: true), fast = TestDevice.Open(instructionSet, threads);
        int[] shape = [151, 80, 3, 3, 96];
        float[][] expected = Run(exact, shape), actual = Run(fast, shape);
        double bound = Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(151 * 9));
        for (int i = 0; i < expected.Length; i++) Expect.Close(expected[i], actual[i], bound, $"result {i} on {fast.Name}");
    }

    [Fact]
    public void ExactIsAskedForAtCreation()
    {
        foreach (var set in Cpu.InstructionSets.Where(s => s.Supported))
        {
            using Device exact = Cpu.Create(1, set.Name, exact: true), fast = Cpu.Create(1, set.Name), same = TestDevice.Open(set.Name, 1, exact: true);
            int[] map = [1, 16, 8, 8, 16];
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
            foreach (int[] c in cases.Append([151, 80, 3, 3, 96])) Assert.Equal(Run(one, c), Run(three, c));
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
                using Tensor map = device.From(Shapes(c)[0], x), weight = device.From(Shapes(c)[1], w), y = Convolve([map, weight]);
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
            using Tensor y = Convolve([x, weight]), dx = device.New(x.Shape);
            device.Conv2dData(y, weight, dx, new(1, 1, 1));
            Assert.True(Padding.IsZero(y) && Padding.IsZero(dx), string.Join(" ", c));
        }
    }

    static float[][] Run(Device device, int[] c) => Expect.Run(device, Convolve, Shapes(c), [.. Shapes(c).Select(Expect.Normal)]);
}
