using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>Launch geometry is a pure function of the arguments.</summary>
public class LaunchTests
{
    [Fact]
    public void ProductsTakeABlockForEachTileAndSlice()
    {
        var launch = CudaKernels.MatMul(new() { Rows = 129, Columns = 256, Depth = 1000, SliceDepth = CudaKernels.SliceDepth(1000, 3) }, false, true, true);
        Assert.Equal(new("MatMul", "matmul_nt_bf16", 4, 3, 1, 256, 65536), launch);
        Assert.True(launch.SharedBytes > CudaLaunch.QuietSharedBytes);
        Assert.Throws<NotSupportedException>(() => CudaKernels.MatMul(new() { Rows = 1, Columns = 1, Depth = 1, SliceDepth = 32 }, true, true, false));
    }

    [Theory, InlineData(512, 512, 100_000, 256, 16), InlineData(4096, 4096, 512, 256, 1), InlineData(64, 64, 300, 1000, 1), InlineData(64, 64, 4096, 1000, 16)]
    public void SlicesFillTheMachineButStayLong(int rows, int columns, int depth, int wanted, int expected) => Assert.Equal(expected, CudaKernels.Slices(rows, columns, depth, wanted));

    [Fact]
    public void AMillionClassesFitAGrid()
    {
        var launch = CudaKernels.MarginForward(new() { Tile = new() { Batch = 1024, Classes = 10_000_000 } }, false);
        Assert.Equal(8 * 78125, launch.GridX);
        // 16 MiB of gradients: 8192 classes of 1024 rows.
        Assert.Equal(8192, CudaKernels.MarginClasses(1024, 10_000_000));
        Assert.Equal(128, CudaKernels.MarginClasses(8, 100));
    }

    [Fact]
    public void DataGradientsHaveAGridRowForEachPhase()
    {
        var args = new Conv2dArguments
        {
            X = new() { Images = 2, Height = 28, Width = 28, Pitch = 64 }, OutHeight = 55, OutWidth = 56, PitchY = 136, KernelHeight = 3, KernelWidth = 3, Stride = 2, Padding = 1,
        };
        // 2·28·28 outputs of the largest phase are 13 tiles, 136 channels 2.
        Assert.Equal((26, 4), (CudaKernels.Conv2dData(args).GridX, CudaKernels.Conv2dData(args).GridY));
    }

    [Theory, InlineData(64, "conv2d_forward_narrow", 49152), InlineData(72, "conv2d_forward", 65536)]
    public void NarrowResultsHaveNarrowTiles(int pitch, string kernel, int sharedBytes)
    {
        var args = new Conv2dArguments { X = new() { Images = 1, Height = 8, Width = 8, Pitch = 64 }, OutHeight = 8, OutWidth = 8, PitchY = pitch, KernelHeight = 1, KernelWidth = 1, Stride = 1 };
        Assert.Equal(new("Conv2d", kernel, 1, 1, 1, 256, sharedBytes), CudaKernels.Conv2dForward(args));
    }

    [Theory, InlineData(3, 8), InlineData(64, 64), InlineData(65, 72)]
    public void PitchesAreWholeChunks(int channels, int pitch) => Assert.Equal(pitch, CudaKernels.ChannelPitch(channels));
}
