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

    static Conv2dArguments Convolution(int pitchX, int pitchY, int stride = 1, int padding = 1) => new()
    {
        X = new() { Data = 4096, Images = 2, Height = 15, Width = 20, Pitch = pitchX }, Weight = 8192, Dy = 16384, OutHeight = 15 / stride, OutWidth = 20 / stride, PitchY = pitchY, K = pitchY - 1,
        KernelHeight = 3, KernelWidth = 5, Stride = stride, Padding = padding, SliceOutputs = 128,
    };

    /// Where steps of 64 channels are two thirds full, a data gradient has no phases, and a tensor map can say what is meant.
    [Theory]
    [InlineData(64, 1, 1, true, true), InlineData(128, 2, 1, true, false), InlineData(88, 1, 1, true, true), InlineData(80, 1, 1, false, false), InlineData(136, 1, 1, true, true)]
    [InlineData(56, 1, 1, false, false), InlineData(8, 2, 1, false, false), InlineData(64, 9, 1, false, false), InlineData(64, 1, 128, false, false)]
    public void HopperTakesWideConvolutions(int pitch, int stride, int padding, bool forward, bool data)
    {
        var args = Convolution(pitch, 64, stride, padding);
        Assert.Equal((forward, data, forward), (CudaKernels.FitsHopper(Conv2dPass.Forward, args), CudaKernels.FitsHopper(Conv2dPass.Data, args), CudaKernels.FitsHopper(Conv2dPass.Weight, args)));
    }

    [Fact]
    public void HopperConvolutionsTakeABlockForEachTile()
    {
        // 600 outputs are 5 tiles.
        Assert.Equal(new("Conv2d.Hopper", "conv2d_forward_hopper", 10, 1, 1, 256, 3 * 32768 + 1048), CudaKernels.Conv2d(Conv2dPass.Forward, Convolution(64, 136), true));
        Assert.Equal(new("Conv2d.Hopper", "conv2d_data_narrow_hopper", 5, 1, 1, 256, 3 * 24576 + 1048), CudaKernels.Conv2d(Conv2dPass.Data, Convolution(64, 64), true));
        // 15 taps of two boxes are 15 columns, 136 outputs of the convolution 2 rows, 600 outputs 5 slices.
        var normalised = Convolution(72, 136) with { On = new() { Scale = 1 } };
        Assert.Equal(new("Conv2d.Hopper", "conv2d_weight_normalised_hopper", 30, 5, 1, 256, 3 * 32768 + 1048 + 1024), CudaKernels.Conv2d(Conv2dPass.Weight, normalised, true));
        Assert.Equal(new("Conv2d.Hopper", "conv2d_weight_narrow_hopper", 8, 5, 1, 256, 3 * 24576 + 1048), CudaKernels.Conv2d(Conv2dPass.Weight, Convolution(64, 64), true));
        Assert.Equal("conv2d_forward", CudaKernels.Conv2d(Conv2dPass.Forward, Convolution(64, 136), false).Kernel);
        // Slices of whole steps of 64.
        Assert.Equal(384, CudaKernels.SliceDepth(1000, 3, TensorMapPlan.Box));
    }

    [Fact]
    public void TensorMapsGoOverAllThatAKernelTouches()
    {
        var args = Convolution(72, 64, stride: 2, padding: 1);
        var map = CudaKernels.GatherPlan(Conv2dPass.Weight, args);
        Assert.Equal(map, CudaKernels.GatherPlan(Conv2dPass.Forward, args));
        Assert.Equal(new(4096, 144, 72, 600) { Gather = new(20, 15, 2, 5, 3, 1, 1, 2) }, map);
        Assert.Equal(((-1, -1), (-3, -1)), (map.Gather!.Value.LowerCorner, map.Gather.Value.UpperCorner));
        // The data gradient is padded by what is left of the kernel.
        var data = CudaKernels.GatherPlan(Conv2dPass.Data, args with { Stride = 1 }).Gather!.Value;
        Assert.Equal(((-3, -1), (-1, -1)), (data.LowerCorner, data.UpperCorner));
        Assert.Equal((new(8192, 2 * 15 * 72, 15 * 72, 63), new(8192, 2 * 15 * 64, 15 * 64, 63)), (CudaKernels.WeightPlan(Conv2dPass.Forward, args), CudaKernels.WeightPlan(Conv2dPass.Data, args)));
        Assert.Equal(new(16384, 128, 64, 140), CudaKernels.DyPlan(args));
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
