using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>kernels/MatMul.cu against sums in double precision of the same bf16 values.</summary>
public class MatMulKernelTests
{
    // One below, at and above the tile's sides; much smaller; several tiles; a long depth.
    static readonly (int Rows, int Columns, int Depth)[] Sizes = [(1, 1, 1), (127, 128, 32), (129, 129, 33), (7, 300, 95), (260, 9, 513), (128, 256, 129)];

    public static TheoryData<bool, bool, bool> Forms => new([.. from form in new[] { (false, false), (false, true), (true, false) } from bf16 in new[] { false, true } select (form.Item1, form.Item2, bf16)]);

    [Theory, MemberData(nameof(Forms))]
    public void MatchesDoublePrecision(bool transposeA, bool transposeB, bool toBf16)
    {
        for (int n = 0; n < Sizes.Length; n++)
            foreach (bool aligned in new[] { true, false })
                Check(Sizes[n], transposeA, transposeB, toBf16, aligned, slices: toBf16 ? 1 : 1 + n % 3, add: n % 2 == 1);
    }

    /// Other sizes every run.
    [Fact]
    public void MatchesAtAnySize()
    {
        for (int n = 0; n < Fuzz.Times; n++)
        {
            int Draw(int i, int most) => 1 + Fuzz.Below(most, 40 + n, i);
            bool transposeA = n % 3 == 0, transposeB = n % 3 == 1, hopper = transposeB && n % 2 == 0;
            Check((Draw(0, 300), Draw(1, 300), Draw(2, 400)), transposeA, transposeB, n % 5 == 0, aligned: hopper || n % 4 > 0, slices: 1, add: n % 2 == 1, hopper);
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public void HopperMatchesDoublePrecision(bool toBf16)
    {
        for (int n = 0; n < Sizes.Length; n++) Check(Sizes[n], false, true, toBf16, aligned: true, slices: toBf16 ? 1 : 1 + n % 2, add: n % 2 == 1, hopper: true);
        // More steps than stages: the ring goes round.
        Check((5, 130, 600), false, true, toBf16, aligned: true, slices: 1, add: false, hopper: true);
    }

    /// It leaves the block's threads halfway through the kernel; the next launch begins on the same fibers.
    [Fact]
    public void ALaunchThatFailsDoesNotDisturbTheNext()
    {
        Emulator.SkipUnlessBuilt();
        Assert.SkipWhen(OnGpu.Wanted, "a GPU does not say what was wrong");
        void Run(int? sharedBytes) => Check((129, 129, 33), false, true, toBf16: false, aligned: true, slices: 1, add: false, sharedBytes: sharedBytes);
        Assert.Contains("outside shared memory", Assert.ThrowsAny<Exception>(() => Run(20 << 10)).Message);
        Run(null);
    }

    /// Of products summed in fp32, 16 at a time: half a unit in the last place for each of up to 2⁵ sums would be 2⁻¹⁹; roundings are not all alike.
    const double Fp32Sum = 1.0 / (1 << 21);

    static void Check((int Rows, int Columns, int Depth) size, bool transposeA, bool transposeB, bool toBf16, bool aligned, int slices, bool add, bool hopper = false, int? sharedBytes = null)
    {
        var (rows, columns, depth) = size;
        float[] a = Bf16.Normal(rows * depth, 0), b = Bf16.Normal(depth * columns, 1), before = Bf16.Normal(rows * columns, 2);
        int lineA = transposeA ? rows : depth, lineB = transposeB ? depth : columns, pitchA = Pitch(lineA, aligned), pitchB = Pitch(lineB, aligned), pitchC = columns + 3;
        using var inA = Bf16.Pitched(Lines(a, rows, depth, transposeA), lineA, pitchA, aligned ? 0 : 1);
        using var inB = Bf16.Pitched(Lines(b, depth, columns, transposeB), lineB, pitchB);
        int sliceDepth = CudaKernels.SliceDepth(depth, slices) * (hopper ? 2 : 1), used = (depth + sliceDepth - 1) / sliceDepth;
        long slice = rows * pitchC;
        using Global<ulong> mapA = Emulator.TensorMap(new(inA.Address, pitchA * 2, lineA, rows)), mapB = Emulator.TensorMap(new(inB.Address, pitchB * 2, lineB, columns));
        using var bytes = new Global<byte>(slice * used * (toBf16 ? 2 : 4));
        Store(bytes, before, columns, pitchC, toBf16);
        var args = new MatMulArguments
        {
            A = hopper ? mapA.Address : inA.Address, B = hopper ? mapB.Address : inB.Address, C = bytes.Address, PitchA = pitchA, PitchB = pitchB, PitchC = pitchC, SliceC = slice,
            Rows = rows, Columns = columns, Depth = depth, SliceDepth = sliceDepth, Alpha = 0.5f, Add = add && used == 1 ? 1 : 0,
        };
        var launch = hopper ? CudaKernels.MatMulHopper(args, toBf16) : CudaKernels.MatMul(args, transposeA, transposeB, toBf16);
        Emulator.Run(sharedBytes is { } other ? launch with { SharedBytes = other } : launch, args);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < columns; j++)
            {
                double sum = 0, size0 = 0;
                for (int k = 0; k < depth; k++)
                {
                    double product = (double)a[i * depth + k] * b[k * columns + j];
                    (sum, size0) = (sum + product, size0 + Math.Abs(product));
                }
                double expected = 0.5 * sum + args.Add * before[i * columns + j], actual = 0;
                for (int s = 0; s < used; s++) actual += Load(bytes, s * slice + i * pitchC + j, toBf16);
                double bound = Fp32Sum * (size0 + 1) + (toBf16 ? Math.Abs(expected) / 256 : 0);
                Assert.True(Math.Abs(actual - expected) <= bound, $"{size} at {i}, {j}: {actual:R} expected {expected:R} ± {bound:E1} (seed {Bf16.Seed})");
            }
        for (int i = 0; i + 1 < rows; i++) Assert.True(double.IsNaN(Load(bytes, i * pitchC + columns, toBf16)), "wrote between the rows");
    }

    [Theory, MemberData(nameof(Forms))]
    public void OrderOfThreadsDoesNotChangeABit(bool transposeA, bool transposeB, bool toBf16)
    {
        const int rows = 140, columns = 136, depth = 200;
        using var a = Bf16.Pitched(Bf16.Normal(rows * depth, 0), transposeA ? rows : depth, transposeA ? 144 : depth);
        using var b = Bf16.Pitched(Bf16.Normal(columns * depth, 1), transposeB ? depth : columns, transposeB ? depth : columns);
        var runs = Enum.GetValues<Order>().Select(order =>
        {
            using var c = new Global<byte>(rows * columns * (toBf16 ? 2 : 4));
            var args = new MatMulArguments
            {
                A = a.Address, B = b.Address, C = c.Address, PitchA = transposeA ? 144 : depth, PitchB = transposeB ? depth : columns, PitchC = columns, Rows = rows,
                Columns = columns, Depth = depth, SliceDepth = 224, Alpha = 1,
            };
            Emulator.Run(CudaKernels.MatMul(args, transposeA, transposeB, toBf16), args, order);
            return c.Values.ToArray();
        }).ToArray();
        Assert.All(runs, run => Assert.Equal(runs[0], run));
    }

    [Fact]
    public void HopperIsTheSameInEveryOrder()
    {
        const int rows = 140, columns = 136, depth = 400;
        using Global<ushort> a = Bf16.Pitched(Bf16.Normal(rows * depth, 0), depth, depth), b = Bf16.Pitched(Bf16.Normal(columns * depth, 1), depth, depth);
        using Global<ulong> mapA = Emulator.TensorMap(new(a.Address, depth * 2, depth, rows)), mapB = Emulator.TensorMap(new(b.Address, depth * 2, depth, columns));
        var runs = Enum.GetValues<Order>().Select(order =>
        {
            using var c = new Global<float>(rows * columns);
            var args = new MatMulArguments { A = mapA.Address, B = mapB.Address, C = c.Address, PitchC = columns, Rows = rows, Columns = columns, Depth = depth, SliceDepth = 448, Alpha = 1 };
            Emulator.Run(CudaKernels.MatMulHopper(args, false), args, order);
            return c.Values.ToArray();
        }).ToArray();
        Assert.All(runs, run => Assert.Equal(runs[0], run));
    }

    [Theory, InlineData(1, 3, false), InlineData(1000, 5, true)]
    public void SlicesAreAddedInTheirOrder(int count, int number, bool add)
    {
        float[] values = Expect.Normal(Shape.Of(number, count), 3), before = Expect.Normal(Shape.Of(count), 4);
        using Global<float> slices = new(values), to = new(before);
        var args = new SumSlicesArguments { Slices = slices.Address, To = to.Address, Count = count, Number = number, Add = add ? 1 : 0 };
        Emulator.Run(CudaKernels.SumSlices(args), args);
        for (int i = 0; i < count; i++)
        {
            float sum = add ? before[i] : 0;
            for (int s = 0; s < number; s++) sum += values[s * count + i];
            Assert.Equal(sum, to.Values[i]);
        }
    }

    [Theory, InlineData(512, 16, 32), InlineData(33, 1, 64), InlineData(100, 9, 32), InlineData(1, 4, 32)]
    public void SlicesAreWholeSteps(int depth, int slices, int expected) => Assert.Equal(expected, CudaKernels.SliceDepth(depth, slices));

    static int Pitch(int line, bool aligned) => aligned ? (line + 7) / 8 * 8 : line;

    static float[] Lines(float[] matrix, int rows, int columns, bool transpose) =>
        !transpose ? matrix : [.. from j in Enumerable.Range(0, columns) from i in Enumerable.Range(0, rows) select matrix[i * columns + j]];

    static void Store(Global<byte> to, float[] values, int columns, int pitch, bool bf16)
    {
        for (int i = 0; i < values.Length; i++)
        {
            int at = i / columns * pitch + i % columns;
            if (bf16) BitConverter.TryWriteBytes(to.Values[(2 * at)..], Bf16.Round(values[i]));
            else BitConverter.TryWriteBytes(to.Values[(4 * at)..], values[i]);
        }
    }

    static double Load(Global<byte> from, long at, bool bf16) =>
        bf16 ? Bf16.ToFloat(BitConverter.ToUInt16(from.Values[(int)(2 * at)..])) : BitConverter.ToSingle(from.Values[(int)(4 * at)..]);
}
