using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>What a GPU promises beyond its ops, on the simulated one.</summary>
public class GpuTests
{
    static Gpu Open()
    {
        Assert.SkipWhen(TestDevice.WhyNoSimulatedGpu is not null, TestDevice.WhyNoSimulatedGpu ?? "");
        return (Gpu)TestDevice.Open(TestDevice.Simulated, 0);
    }

    [Fact]
    public void MapsLieChannelByChannelWithZerosPastTheLast()
    {
        using var device = Open();
        using var map = device.From(Shape.Map(2, 3, 1, 2), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        Assert.Equal([1, 3, 5, 0, 0, 0, 0, 0, 2, 4, 6, 0, 0, 0, 0, 0, 7, 9, 11, 0, 0, 0, 0, 0, 8, 10, 12, 0, 0, 0, 0, 0], device.ReadAsItLies(map));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], map.ToArray());
    }

    [Fact]
    public void MemoryComesBack()
    {
        using var device = Open();
        long before = device.LiveBytes;
        for (int i = 0; i < 40; i++)
        {
            // Beyond a buffer of the pool, so that a leak would soon be many of them.
            using var large = device.New(Shape.Of(1 << 22));
            using var small = device.New(Shape.Of(1 + i));
            Assert.Equal(before + GpuLayout.Bytes(large.Shape) + GpuLayout.Bytes(small.Shape), device.LiveBytes);
        }
        Assert.Equal(before, device.LiveBytes);
    }

    /// A network of other sizes finds the memory that the one before it left, and what is still in use stays as it is.
    [Fact]
    public void MemoryOfOtherSizesIsCutAnew()
    {
        using var device = Open();
        using var kept = device.From(Shape.Of(3), [1, 2, 3]);
        for (int i = 0; i < 20; i++)
        {
            using var large = device.New(Shape.Of((12 << 20) + (i << 21)));
            using var small = device.From(Shape.Of(100 + 100 * i), new float[100 + 100 * i]);
        }
        // Without it, one for each of the large sizes.
        Assert.InRange(device.Slabs, 2, 4);
        Assert.Equal([1, 2, 3], kept.ToArray());
    }

    [Fact]
    public void EqualStepsFindEqualMemory()
    {
        using var device = Open();
        Memory[] places = [];
        for (int step = 0; step < 5; step++)
        {
            int before = device.Slabs;
            var tensors = Enumerable.Range(0, 60).Select(i => device.New(Shape.Of(1 + (i * 7919 % 5 << 18)))).ToArray();
            var memory = tensors.Select(t => t.Memory).ToArray();
            for (int i = 0; i < tensors.Length; i += 2) tensors[i].Dispose();
            using var late = device.New(Shape.Of(30 << 20));
            for (int i = 1; i < tensors.Length; i += 2) tensors[i].Dispose();
            if (step > 0) Assert.Equal(before, device.Slabs);
            if (step > 1) Assert.Equal(places, memory);
            places = memory;
        }
    }

    [Fact]
    public void TheSameInputsGiveTheSameBits()
    {
        Shape[] shapes = [Shape.Map(3, 20, 9, 9), Shape.Of(33, 20, 3, 3)];
        float[][] values = [.. shapes.Select(Expect.Normal)], first = Run(), second = Run();
        for (int i = 0; i < 3; i++) Assert.Equal(first[i], second[i]);

        float[][] Run()
        {
            using var device = Open();
            return Expect.Run(device, x => x[0].Conv2d(x[1], padding: 1), shapes, values);
        }
    }

    [Fact]
    public void TheSelfCheckHoldsOnEveryDevice()
    {
        using Device cpu = Cpu.Create(2), gpu = Open();
        Assert.InRange(SelfCheck.Difference(cpu), 1e-9, 1e-5);
        Assert.InRange(SelfCheck.Difference(gpu), 1e-9, 1e-5);
    }

    /// With maps in bf16 it is no check: whoever calls it opens the device for floats.
    [Fact]
    public void TheSelfCheckIsOfFloats()
    {
        using var device = TestDevice.OpenBf16();
        Assert.InRange(SelfCheck.Difference(device), 1e-4, 0.5);
    }

    /// Every op's tests run on the GPU of this machine as well, where there is one.
    [Fact]
    public void TheSelfCheckHoldsOnCuda()
    {
        Assert.SkipWhen(TestDevice.WhyNoCudaGpu is not null, $"no CUDA: {TestDevice.WhyNoCudaGpu}");
        using var device = TestDevice.Open(TestDevice.Cuda, 0);
        Assert.InRange(SelfCheck.Difference(device), 1e-9, 1e-5);
    }

    /// Products over many terms and few tiles are cut along the depth: the sums of each range must lie where they are joined.
    [Fact]
    public void DeepConvolutionsMatchReference()
    {
        using var device = Open();
        foreach (var (map, weight, groups) in new[] { (Shape.Map(2, 512, 2, 2), Shape.Of(20, 512, 1, 1), 1), (Shape.Map(1, 128, 3, 3), Shape.Of(12, 64, 3, 3), 2) })
            Expect.SameAsReference(device, x => x[0].Conv2d(x[1], padding: weight[2] / 2, groups: groups), [map, weight], terms: weight.Cols);
    }

    /// Values do not depend on what the head's gradients were given to live in.
    [Fact]
    public void TilesOfClassesDoNotShowInTheGradients()
    {
        Open().Dispose();
        Shape[] shapes = [Shape.Of(20, 24), Shape.Of(1500, 24)];
        float[][] values = [.. shapes.Select(Expect.Normal)];
        float[][] Run(int floats)
        {
            using var device = new Gpu(GpuAccelerator.Simulated) { Poison = true, GradientFloats = floats };
            return Expect.Run(device, x => x[0].MarginSoftmax(x[1], [.. Enumerable.Range(0, 20).Select(b => 75 * b)], new(64, 64, 1, 0.5f, 0)), shapes, values);
        }
        float[][] whole = Run(1 << 22), tiled = Run(1);
        Assert.Equal(whole[0], tiled[0]);
        Assert.Equal(whole[2], tiled[2]);
        Expect.Close(whole[1], tiled[1], 1e-6, "gradient of the embeddings");
    }
}
