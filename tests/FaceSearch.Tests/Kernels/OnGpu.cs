using System.Runtime.InteropServices;
using FaceSearch.Tensors;
using ILGPU;
using ILGPU.Runtime;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>
/// The kernels' checks on this machine's GPU in place of the emulator, where FACESEARCH_KERNELS is cuda (perf/gpu). Their memory stays on the
/// host, with its NaN and its guards, and has a twin on the GPU: there before a launch, and back after it.
/// </summary>
static unsafe class OnGpu
{
    public static readonly bool Wanted = Environment.GetEnvironmentVariable("FACESEARCH_KERNELS") == "cuda";

    static readonly List<Twin> twins = [];

    static CudaStarter Starter => GpuAccelerator.Cuda.Starter ?? throw new DeviceException(GpuAccelerator.Cuda.WhyNoStarter!);

    /// <summary>Memory of the host and as much of the GPU.</summary>
    public sealed class Twin : IDisposable
    {
        readonly byte* host;
        readonly int bytes;
        readonly MemoryBuffer1D<byte, Stride1D.Dense> buffer;

        public Twin(byte* host, int bytes)
        {
            GpuAccelerator.Cuda.Accelerator.Bind();
            this.host = host;
            this.bytes = bytes;
            buffer = GpuAccelerator.Cuda.Accelerator.Allocate1D<byte>(bytes);
            twins.Add(this);
        }

        public nint Address => buffer.NativePtr;
        public void Up(AcceleratorStream stream) => buffer.View.BaseView.CopyFromCPU(stream, new ReadOnlySpan<byte>(host, bytes));
        public void Down(AcceleratorStream stream) => buffer.View.BaseView.CopyToCPU(stream, new Span<byte>(host, bytes));

        public void Dispose()
        {
            twins.Remove(this);
            buffer.Dispose();
        }
    }

    /// <summary>Skips the test of kernels for compute capability 9.0 on another GPU.</summary>
    public static void SkipUnlessHopper(bool needed) => Assert.SkipWhen(needed && !Starter.IsHopper, "this GPU is not of compute capability 9.0");

    public static void Run(CudaLaunch launch, void* argument, int bytes)
    {
        SkipUnlessHopper(launch.Kernel.EndsWith("_hopper", StringComparison.Ordinal));
        GpuAccelerator.Cuda.Accelerator.Bind();
        var stream = GpuAccelerator.Cuda.Accelerator.DefaultStream;
        foreach (var twin in twins) twin.Up(stream);
        Starter.Start(stream, launch, argument, bytes);
        stream.Synchronize();
        foreach (var twin in twins) twin.Down(stream);
    }

    public static void Encode(TensorMapPlan plan, Span<ulong> map)
    {
        fixed (ulong* words = map) Starter.Encode(plan, words);
    }
}
