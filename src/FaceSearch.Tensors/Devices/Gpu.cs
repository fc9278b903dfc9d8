using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Training on a GPU: CUDA, or the simulated one that tests use. Kernels are C# compiled by ILGPU; they run one after the other on
/// a stream of their own, and the host waits only where it reads. Memory is pooled and returned to the driver when the
/// device goes, so that a warm training step allocates nothing.
/// </summary>
public sealed partial class Gpu : Device
{
    readonly GpuAccelerator accelerator;
    readonly AcceleratorStream stream;
    readonly GpuPool pool;
    readonly GpuUploads uploads;
    KernelClock? clock;

    internal Gpu(GpuAccelerator accelerator, bool meters = false)
    {
        (this.accelerator, IsMeter) = (accelerator, meters);
        accelerator.Accelerator.Bind();
        stream = meters ? accelerator.Accelerator.DefaultStream : accelerator.Accelerator.CreateStream();
        pool = new(accelerator.Accelerator, meters);
        uploads = new(accelerator.Accelerator);
        Hopper = accelerator.Starter is { IsHopper: true };
    }

    public override string Name => accelerator.Name;
    public override bool IsMeter { get; }
    public override Device NewMeter() => new Gpu(accelerator, meters: true) { Precision = Precision, Hopper = Hopper, GradientFloats = GradientFloats, LogSumFloats = LogSumFloats };
    public override long HeldBytes => pool.HeldBytes;
    public override (long All, long Free)? MemoryBytes => accelerator.MemoryBytes;
    /// <summary>Fills new memory with NaN, so that tests find what reads before it writes.</summary>
    internal bool Poison { get; init; }
    /// <summary>What notes the times of launches, while somebody wants to know.</summary>
    internal KernelClock? Clock { get; set; }
    internal override KernelClock KernelClock => clock ??= stream is CudaStream cuda && !IsMeter ? new EventClock(this, cuda) : new WaitingClock(this);
    /// <summary>Whether its kernels run on the CPU.</summary>
    public bool IsSimulated => !accelerator.IsCuda;

    /// <summary>Allocations of the driver.</summary>
    internal int Slabs => pool.Slabs;

    /// The floats of a tensor that holds floats, as they lie, padding included: of everything but maps in bf16.
    internal static View Of(Tensor t) => IsBf16(t) ? throw new InvalidOperationException($"{t} is in bf16: its elements are no floats") : Floats(t, GpuLayout.Elements(t.Shape));

    /// The elements of any tensor as they lie, padding included.
    internal static MapView Map(Tensor t)
    {
        bool isBf16 = IsBf16(t);
        long elements = GpuLayout.Elements(t.Shape);
        return new(Floats(t, isBf16 ? elements / 2 : elements), isBf16);
    }

    static View Floats(Tensor t, long count) => ((GpuPool.Block)t.Memory).Floats.SubView(0, count);

    static bool IsBf16(Tensor t) => t.Device.ElementBytes(t.Shape) == 2;

    internal override int ElementBytes(Shape shape) => IsMixed && shape.IsMap ? 2 : 4;

    void Launch<K>(K kernel, int x, int y = 1, int z = 1) where K : struct, IKernel
    {
        if (IsMeter) return;
        var config = new KernelConfig(new Index3D(x, y, z), new Index3D(Threads, 1, 1));
        if (IsWatched) Watch(config, kernel);
        else accelerator.Launch(stream, config, kernel);
    }

    void Watch<K>(KernelConfig config, K kernel) where K : struct, IKernel =>
        Put(Tensors.KernelClock.NameOf(typeof(K)), () => accelerator.Launch(stream, config, kernel));

    /// Whether launches must go through <see cref="Put"/>.
    bool IsWatched => recorder is not null || Clock is not null;

    /// Puts a kernel on the stream: taken down while a step is recorded, timed while somebody wants to know.
    void Put(string kernel, Action launch)
    {
        if (recorder is not null)
        {
            recorder.Add(launch);
            return;
        }
        Clock?.Before();
        launch();
        Clock?.After(kernel);
    }

    private protected override Memory Allocate(Shape shape)
    {
        var block = pool.Rent(GpuLayout.Bytes(shape, ElementBytes(shape)));
        // A NaN in bf16 as well, twice.
        if (Poison) Pass(new FillPoint(new(block.Floats), BitConverter.Int32BitsToSingle(-1)), block.Floats.Length);
        return block;
    }

    private protected override void Free(Memory memory) => pool.Return((GpuPool.Block)memory);

    internal override void Fill(Tensor tensor, float value)
    {
        // Padding lanes are zero whatever the value.
        if (value != 0 && tensor.Shape.IsMap) base.Fill(tensor, value);
        else Pass(new FillPoint(Map(tensor), value), GpuLayout.Elements(tensor.Shape));
    }

    public override void Write(Tensor to, ReadOnlySpan<float> values)
    {
        CheckCount(to, values.Length);
        if (!to.Shape.IsMap)
        {
            foreach (var (first, count) in to.Shape.Pieces()) Write(to, first, values.Slice((int)first, count));
            return;
        }
        using var rows = New(Shape.Of(to.Shape.Rows, to.Shape.Cols));
        Upload(Of(rows), values);
        Unflatten(rows, to);
    }

    public override void Write(Tensor to, long first, ReadOnlySpan<float> values)
    {
        CheckRange(to, first, values.Length);
        Upload(Of(to).SubView(first, values.Length), values);
    }

    public override void Write(Tensor to, ReadOnlySpan<byte> photographs, float[] byteValues)
    {
        CheckPhotographs(to, photographs.Length);
        if (photographs.Length % 4 != 0)
        {
            base.Write(to, photographs, byteValues);
            return;
        }
        var four = MemoryMarshal.Cast<byte, float>(photographs);
        var rows = new GpuRows(to.Shape);
        using Tensor bytes = From(Shape.Of(four.Length), four), values = From(Shape.Of(byteValues.Length), byteValues);
        Pass(new BytesCell(Of(bytes).Cast<byte>(), Of(values), Map(to), rows), rows);
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

    public override void Read(Tensor from, long first, Span<float> values)
    {
        CheckRange(from, first, values.Length);
        Download(Of(from).SubView(first, values.Length), values);
    }

    void Upload(View to, ReadOnlySpan<float> values)
    {
        if (IsMeter) return;
        NotWhileRecording("values of the host are copied");
        // OpenCL knows no page-locked memory: there the copy is waited for.
        if (accelerator.IsCuda) uploads.Copy(stream, to, values);
        else to.CopyFromCPU(stream, values);
    }

    /// Waits for everything before it.
    void Download<T>(ArrayView<T> from, Span<T> values) where T : unmanaged
    {
        if (IsMeter)
        {
            values.Clear();
            return;
        }
        NotWhileRecording("the host waits for values");
        from.CopyToCPU(stream, values);
        uploads.Arrived();
    }

    /// The elements of a tensor as they lie, on the host.
    internal float[] ReadAsItLies(Tensor tensor)
    {
        var elements = new float[GpuLayout.Elements(tensor.Shape)];
        if (!IsBf16(tensor))
        {
            Download(Floats(tensor, elements.Length), elements);
            return elements;
        }
        var halves = new ushort[elements.Length];
        Download(Floats(tensor, elements.Length / 2).Cast<ushort>(), halves);
        return [.. halves.Select(GpuMath.FromBf16)];
    }

    public override void Synchronize()
    {
        if (IsMeter) return;
        NotWhileRecording("the host waits");
        stream.Synchronize();
        uploads.Arrived();
    }

    public override void Dispose()
    {
        Synchronize();
        clock?.Dispose();
        uploads.Dispose();
        pool.Dispose();
        if (!IsMeter) stream.Dispose();
    }
}

/// Not by ILGPU's MemSet, which writes elsewhere in a part of an OpenCL buffer (1.5.3).
readonly struct FillPoint(MapView x, float value) : IPoint
{
    public void At(long i) => x[i] = value;
}
