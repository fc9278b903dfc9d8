using System.Runtime.InteropServices;

namespace FaceSearch.Tensors;

/// The hand-written kernels on this device's stream, between those of ILGPU.
public sealed unsafe partial class Gpu
{
    // A tensor map is 16 words; on a boundary of 64 bytes here and there.
    const int TensorMapFloats = 32, TensorMapBoundary = 64, TensorMapsOfARoom = 1024;

    // By what they tell: memory is pooled, so that a warm step finds all of its own. They stay, so they lie together in rooms of their
    // own: one here and there would keep the pool from cutting its slabs anew.
    readonly Dictionary<TensorMapPlan, nint> tensorMaps = [];
    Tensor? tensorMapRoom;

    /// <summary>Why this device cannot run the kernels for tensor cores, in words; null where it can.</summary>
    public string? WhyNoTensorCores => accelerator.WhyNoStarter;

    /// <summary>In what training computes; bf16 needs <see cref="WhyNoTensorCores"/> to be null.</summary>
    public Precision Precision { get; internal init; }

    bool IsMixed => Precision == Precision.Bf16;

    CudaStarter Starter => accelerator.Starter ?? throw new DeviceException(accelerator.WhyNoStarter!);

    /// Takes the kernels of compute capability 9.0: where the GPU is one, or a test asks the simulated one.
    internal bool Hopper { get; init; }

    /// <summary>Puts a hand-written kernel on the stream. Its argument struct says where its operands lie (<see cref="Address"/>).</summary>
    internal void Start<T>(in CudaLaunch launch, T arguments) where T : unmanaged
    {
        if (IsMeter) return;
        if (IsWatched) Watch(launch, arguments);
        else Starter.Start(stream, launch, &arguments, sizeof(T));
    }

    void Watch<T>(CudaLaunch launch, T arguments) where T : unmanaged => Put(launch.Kernel, () =>
    {
        T copy = arguments;
        Starter.Start(stream, launch, &copy, sizeof(T));
    });

    /// <summary>Where a tensor's memory begins, as hand-written kernels take it.</summary>
    internal static nint Address(Tensor t) => ((GpuPool.Block)t.Memory).Address;

    /// <summary>The address of a tensor map, made and uploaded at its first use.</summary>
    internal nint TensorMap(TensorMapPlan plan)
    {
        if (tensorMaps.TryGetValue(plan, out var known)) return known;
        NotWhileRecording("a tensor map is made");
        byte* room = stackalloc byte[4 * TensorMapFloats + TensorMapBoundary];
        byte* map = room + (TensorMapBoundary - (nint)room % TensorMapBoundary) % TensorMapBoundary;
        if (!IsMeter) Starter.Encode(plan, map);
        int place = tensorMaps.Count % TensorMapsOfARoom * TensorMapFloats;
        if (place == 0) tensorMapRoom = New(Shape.Of(TensorMapsOfARoom * TensorMapFloats));
        Write(tensorMapRoom!, place, MemoryMarshal.Cast<byte, float>(new ReadOnlySpan<byte>(map, 4 * TensorMapFloats)));
        return tensorMaps[plan] = Address(tensorMapRoom!) + 4 * place;
    }
}
