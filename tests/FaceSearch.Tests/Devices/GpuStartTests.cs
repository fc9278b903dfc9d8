using FaceSearch.Tensors;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>Hand-written kernels between those of ILGPU, on memory of the device.</summary>
public class GpuStartTests
{
    /// Packed by a hand-written kernel, multiplied by another, added to by one of ILGPU: each sees what the one before wrote.
    [Theory, InlineData(false), InlineData(true)]
    public void KernelsOfBothKindsFollowEachOther(bool hopper)
    {
        using var device = TestDevice.OpenBf16(hopper);
        Assert.Null(device.WhyNoTensorCores);
        Shape a = Shape.Of(130, 72), b = Shape.Of(70, 72);
        float[] ofA = [.. Expect.Normal(a, 0).Select(Bf16.Rounded)], ofB = [.. Expect.Normal(b, 1).Select(Bf16.Rounded)];
        using Tensor early = device.From(a, ofA), nothing = device.From(a, new float[a.Count]), x = device.New(a), y = device.From(b, ofB), large = device.New(Shape.Of(1 << 25)), one = device.From(Shape.Of(130, 70), [.. Enumerable.Repeat(1f, 130 * 70)]);
        // So long that a hand-written kernel which does not wait for its operand reads what poisoned memory holds.
        device.Add(large, large, large);
        device.Add(early, nothing, x);
        // Neither begins where its buffer does.
        using Tensor packedX = Pack(device, x), packedY = Pack(device, y), product = device.New(one.Shape);
        for (int time = 0; time < 2; time++)
        {
            var args = new MatMulArguments
            {
                A = Operand(packedX, 130), B = Operand(packedY, 70), C = Gpu.Address(product), PitchA = 72, PitchB = 72, PitchC = 70, Rows = 130, Columns = 70, Depth = 72,
                SliceDepth = 128, Alpha = 1,
            };
            device.Start(hopper ? CudaKernels.MatMulHopper(args, false) : CudaKernels.MatMul(args, false, true, false), args);
            device.Add(product, one, product);
        }
        var result = product.ToArray();
        for (int r = 0; r < 130; r++)
            for (int c = 0; c < 70; c++)
            {
                double sum = 1, size = 1;
                for (int k = 0; k < 72; k++) (sum, size) = (sum + (double)ofA[r * 72 + k] * ofB[c * 72 + k], size + Math.Abs(ofA[r * 72 + k] * ofB[c * 72 + k]));
                Assert.True(Math.Abs(result[r * 70 + c] - sum) <= size * 72 * Math.Pow(2, -24), $"{r}, {c}: {result[r * 70 + c]}, expected {sum}");
            }

        nint Operand(Tensor packed, int rows) => hopper ? device.TensorMap(new(Gpu.Address(packed), 2 * 72, 72, rows)) : Gpu.Address(packed);
    }

    [Theory, InlineData(false), InlineData(true)]
    public void TheCheckOfTensorCoresHolds(bool hopper)
    {
        using var device = TestDevice.OpenBf16(hopper);
        Assert.InRange(device.TensorCoreDifference(), 0, 1e-6);
    }

    /// Of bf16 a product of tensor cores, of floats multiply-adds.
    [Fact]
    public void TheRoofIsOfWhatTheDeviceComputesIn()
    {
        using var mixed = TestDevice.OpenBf16();
        using var floats = (Gpu)TestDevice.Open(TestDevice.Simulated, 0);
        foreach (var device in new[] { mixed, floats })
        {
            device.KernelClock.Start();
            Assert.InRange(device.Peak(), 1e-6, 1e9);
            device.KernelClock.Stop();
            Assert.Equal(device == mixed, device.KernelClock.Kernels.Any(k => k.StartsWith("matmul", StringComparison.Ordinal)));
            Assert.Equal(device == floats, device.KernelClock.Kernels.Contains(nameof(MultiplyAddChains)));
        }
    }

    static Tensor Pack(Gpu device, Tensor x)
    {
        var packed = device.New(Shape.Of(x.Shape.Rows, x.Shape.Cols / 2));
        var args = new PackRowsArguments { From = Gpu.Address(x), To = Gpu.Address(packed), PitchFrom = x.Shape.Cols, PitchTo = x.Shape.Cols, Rows = x.Shape.Rows, Columns = x.Shape.Cols };
        device.Start(CudaKernels.PackRows(args), args);
        return packed;
    }

    /// The second buffer of the pool, and a tensor larger than one.
    [Fact]
    public void EveryTensorHasItsAddress()
    {
        using var device = TestDevice.OpenBf16();
        var tensors = new[] { 5, 1 << 23, 1 << 23, 100, 1 << 25, 7 }.Select(count => device.New(Shape.Of(count))).ToArray();
        foreach (var t in tensors)
        {
            var values = Expect.Normal(Shape.Of(5), (int)t.Shape.Count % 1000);
            device.Write(t, [.. values, .. new float[t.Shape.Count - 5]]);
            device.Synchronize();
            unsafe { Assert.Equal(values, new Span<float>((void*)Gpu.Address(t), 5).ToArray()); }
            Assert.Equal(0, Gpu.Address(t) % 128);
        }
    }
}
