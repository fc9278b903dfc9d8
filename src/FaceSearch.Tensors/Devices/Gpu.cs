using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// fp32 on a GPU: CUDA, or the simulated one that tests use. Kernels are C# compiled by ILGPU; they run one after the other on
/// a stream of their own, and the host waits only where it reads. Memory is pooled and returned to the driver when the
/// device goes, so that a warm training step allocates nothing.
/// </summary>
public sealed partial class Gpu : Device
{
    readonly GpuAccelerator accelerator;
    readonly AcceleratorStream stream;
    readonly GpuPool pool;
    readonly GpuUploads uploads;

    internal Gpu(GpuAccelerator accelerator)
    {
        this.accelerator = accelerator;
        accelerator.Accelerator.Bind();
        stream = accelerator.Accelerator.CreateStream();
        pool = new(accelerator.Accelerator);
        uploads = new(accelerator.Accelerator);
        Hopper = accelerator.Starter is { IsHopper: true };
    }

    public override string Name => accelerator.Name;
    /// <summary>Fills new memory with NaN, so that tests find what reads before it writes.</summary>
    internal bool Poison { get; init; }

    /// The floats of a tensor as they lie, padding included.
    internal static View Of(Tensor t) => ((GpuPool.Block)t.Memory).Floats.SubView(0, GpuLayout.Floats(t.Shape));

    void Launch<K>(K kernel, int x, int y = 1, int z = 1) where K : struct, IKernel =>
        accelerator.Launch(stream, new(new Index3D(x, y, z), new Index3D(Threads, 1, 1)), kernel);

    private protected override Memory Allocate(Shape shape)
    {
        var block = pool.Rent(GpuLayout.Bytes(shape));
        if (Poison) Pass(new FillPoint(block.Floats, float.NaN), block.Floats.Length);
        return block;
    }

    private protected override void Free(Memory memory) => pool.Return((GpuPool.Block)memory);

    private protected override void Clear(Tensor tensor) =>
        Pass(new FillPoint(Of(tensor), 0), GpuLayout.Floats(tensor.Shape));

    public override void Write(Tensor to, ReadOnlySpan<float> values)
    {
        CheckCount(to, values.Length);
        if (!to.Shape.IsMap)
        {
            Upload(Of(to), values);
            return;
        }
        using var rows = New(Shape.Of(to.Shape.Rows, to.Shape.Cols));
        Upload(Of(rows), values);
        Unflatten(rows, to);
    }

    public override void Read(Tensor from, Span<float> values)
    {
        CheckCount(from, values.Length);
        if (!from.Shape.IsMap)
        {
            Download(Of(from), values);
            return;
        }
        using var rows = New(Shape.Of(from.Shape.Rows, from.Shape.Cols));
        Flatten(from, rows);
        Download(Of(rows), values);
    }

    void Upload(View to, ReadOnlySpan<float> values)
    {
        // OpenCL knows no page-locked memory: there the copy is waited for.
        if (accelerator.IsCuda) uploads.Copy(stream, to, values);
        else to.CopyFromCPU(stream, values);
    }

    /// Waits for everything before it.
    void Download<T>(ArrayView<T> from, Span<T> values) where T : unmanaged
    {
        from.CopyToCPU(stream, values);
        uploads.Arrived();
    }

    /// The floats of a tensor as they lie, on the host.
    internal float[] ReadAsItLies(Tensor tensor)
    {
        var floats = new float[GpuLayout.Floats(tensor.Shape)];
        Download(Of(tensor), floats);
        return floats;
    }

    /// Whole numbers of the host, in memory of a tensor.
    Tensor Upload(ReadOnlySpan<int> values)
    {
        var tensor = New(Shape.Of(values.Length));
        Upload(Of(tensor), MemoryMarshal.Cast<int, float>(values));
        return tensor;
    }

    static ArrayView<int> Integers(Tensor t) => Of(t).Cast<int>();

    public override void Synchronize()
    {
        stream.Synchronize();
        uploads.Arrived();
    }

    public override void Dispose()
    {
        Synchronize();
        uploads.Dispose();
        pool.Dispose();
        stream.Dispose();
    }
}

/// Not by ILGPU's MemSet, which writes elsewhere in a part of an OpenCL buffer (1.5.3).
readonly struct FillPoint(View x, float value) : IPoint
{
    public void At(long i) => x[i] = value;
}
