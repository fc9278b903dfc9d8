using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;
using ILGPU.Runtime;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>What a kernel's result must not depend on: which block and thread comes first, and whether asynchronous copies happen late or at once (Eager).</summary>
enum Order { Forwards, Backwards, Eager }

/// <summary>Runs the CUDA kernels of kernels/*.cu on the CPU (kernels/emulate), by the launches that the product makes.</summary>
static unsafe partial class Emulator
{
    /// Twin of emulate::Launch in kernels/emulate/emulate.h.
    [StructLayout(LayoutKind.Sequential)]
    readonly struct Launch(CudaLaunch launch, Order order)
    {
        readonly int gridX = launch.GridX, gridY = launch.GridY, gridZ = launch.GridZ, threads = launch.Threads, sharedBytes = launch.SharedBytes;
        readonly int backwards = order == Order.Backwards ? 1 : 0, eager = order == Order.Eager ? 1 : 0;
    }

    public static readonly string Folder = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../../kernels"));

    static readonly nint Library = NativeLibrary.TryLoad(Path.Combine(Folder, "obj/libkernels.so"), out nint library) ? library : 0;

    /// <summary>Whether the kernels were compiled for the CPU.</summary>
    public static bool IsBuilt => Library != 0;

    /// <summary>Skips the test where the kernels were not compiled for the CPU.</summary>
    public static void SkipUnlessBuilt() => Assert.SkipUnless(IsBuilt || OnGpu.Wanted, "kernels/obj/libkernels.so is missing: kernels/compile.sh emulate makes it where g++ is");

    /// <summary>The simulated GPU of all tests has hand-written kernels where they were compiled for the CPU.</summary>
    [ModuleInitializer]
    internal static void Install() => GpuAccelerator.Emulator = Library == 0 ? null : new EmulatorStarter();

    /// <summary>Runs a kernel. Fails on what a GPU would not forgive.</summary>
    public static void Run<T>(CudaLaunch launch, in T arguments, Order order = Order.Forwards) where T : unmanaged
    {
        SkipUnlessBuilt();
        T copy = arguments;
        if (OnGpu.Wanted)
        {
            OnGpu.Run(launch, &copy, sizeof(T));
            return;
        }
        Assert.Contains((launch.Kernel, typeof(T).Name), Written(launch.Source));
        Run(launch, &copy, sizeof(T), order);
    }

    public static void Run(CudaLaunch launch, void* argument, int bytes, Order order)
    {
        var kernel = (delegate* unmanaged<Launch*, void*, int, byte*>)NativeLibrary.GetExport(Library, launch.Kernel);
        var how = new Launch(launch, order);
        byte* error = kernel(&how, argument, bytes);
        if (error != null) Assert.Fail($"{launch.Kernel}: {Marshal.PtrToStringUTF8((nint)error)}");
    }

    /// <summary>A tensor map as kernels/emulate/hopper.h reads it.</summary>
    public static Global<ulong> TensorMap(TensorMapPlan plan)
    {
        var map = new Global<ulong>(16);
        if (OnGpu.Wanted) OnGpu.Encode(plan, map.Values);
        else Encode(plan, map.Values);
        return map;
    }

    public static void Encode(TensorMapPlan plan, Span<ulong> map)
    {
        ReadOnlySpan<long> words = plan.Gather is { } g
            ? [plan.Address, plan.PitchBytes, plan.Width, plan.Height, 1, g.Width, g.Height, g.Images, g.LowerCorner.Width, g.LowerCorner.Height, g.UpperCorner.Width, g.UpperCorner.Height, g.Stride]
            : [plan.Address, plan.PitchBytes, plan.Width, plan.Height, 0];
        MemoryMarshal.Cast<long, ulong>(words).CopyTo(map);
    }

    /// <summary>The kernels of a source and the names of their argument structs.</summary>
    public static (string Name, string Arguments)[] Written(string source) => Sources.GetOrAdd(source, _ =>
        [.. KernelPattern().Matches(File.ReadAllText(Path.Combine(Folder, source + ".cu"))).Select(m => (m.Groups[1].Value, m.Groups[2].Value))]);

    static readonly ConcurrentDictionary<string, (string, string)[]> Sources = [];

    [GeneratedRegex(@"^KERNEL\((\w+), [^,]+, (\w+)\)", RegexOptions.Multiline)]
    private static partial Regex KernelPattern();

    static string ThisFile([CallerFilePath] string path = "") => path;
}

/// <summary>Hand-written kernels of the simulated GPU: a launch waits for what was asked of OpenCL before and is done when it returns.</summary>
sealed unsafe class EmulatorStarter : CudaStarter
{
    /// So that both kinds of kernels run on every device under test: the ones for 9.0 where a test asks.
    public override bool IsHopper => false;

    public override void Start(AcceleratorStream stream, in CudaLaunch launch, void* argument, int bytes)
    {
        stream.Synchronize();
        Emulator.Run(launch, argument, bytes, Order.Forwards);
    }

    public override void Encode(TensorMapPlan plan, void* map) => Emulator.Encode(plan, new(map, 16));
}

/// <summary>Memory as a kernel sees it: on a 256-byte boundary, NaN until written, between guards that Dispose checks.</summary>
sealed unsafe class Global<T> : IDisposable where T : unmanaged
{
    const int Guard = 256;
    readonly byte* memory;
    readonly long bytes;
    readonly int start;
    readonly OnGpu.Twin? twin;

    /// Offset moves the first element off its boundary, by elements.
    public Global(long count, int offset = 0)
    {
        (Count, bytes) = (count, (count + offset) * sizeof(T));
        memory = (byte*)NativeMemory.AlignedAlloc((nuint)((bytes + 2 * Guard + 255) / 256 * 256), 256);
        new Span<byte>(memory, checked((int)(bytes + 2 * Guard))).Fill(0xFF);
        start = Guard + offset * sizeof(T);
        if (OnGpu.Wanted) twin = new(memory, checked((int)(bytes + 2 * Guard)));
        Address = (twin?.Address ?? (nint)memory) + start;
    }

    public Global(ReadOnlySpan<T> values, int offset = 0) : this(values.Length, offset) => values.CopyTo(Values);

    public long Count { get; }
    /// <summary>As kernels see it.</summary>
    public nint Address { get; }
    public Span<T> Values => new(memory + start, checked((int)Count));

    public void Dispose()
    {
        bool whole = !new Span<byte>(memory, Guard).ContainsAnyExcept((byte)0xFF) && !new Span<byte>(memory + Guard + bytes, Guard).ContainsAnyExcept((byte)0xFF);
        twin?.Dispose();
        NativeMemory.AlignedFree(memory);
        Assert.True(whole, "a kernel wrote outside its output");
    }
}

/// <summary>bf16 as 16 bits, and fresh random values that bf16 holds exactly.</summary>
static class Bf16
{
    public static float ToFloat(ushort x) => BitConverter.Int32BitsToSingle(x << 16);

    public static ushort Round(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return (ushort)(float.IsNaN(x) ? 0x7FFF : (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    public static float Rounded(float x) => ToFloat(Round(x));

    public static float[] Normal(int count, int stream, double scale = 1) =>
        [.. Enumerable.Range(0, count).Select(i => Rounded((float)(scale * Noise.Normal(Seed, (ulong)stream, (ulong)i))))];

    /// A new one each run, told when a test fails; FACESEARCH_SEED repeats it.
    public static readonly ulong Seed = ulong.TryParse(Environment.GetEnvironmentVariable("FACESEARCH_SEED"), out ulong seed) ? seed : (ulong)Environment.TickCount64;

    /// <summary>Rows of that many values, at that pitch, with NaN between them.</summary>
    public static Global<ushort> Pitched(ReadOnlySpan<float> values, int columns, int pitch, int offset = 0)
    {
        int rows = values.Length / columns;
        var memory = new Global<ushort>(Math.Max(0, (rows - 1) * pitch + columns), offset);
        for (int i = 0; i < values.Length; i++) memory.Values[i / columns * pitch + i % columns] = Round(values[i]);
        return memory;
    }
}

/// <summary>Draws of sizes from the run's seed. FACESEARCH_FUZZ makes as many as one has patience for.</summary>
static class Fuzz
{
    public static readonly int Times = int.TryParse(Environment.GetEnvironmentVariable("FACESEARCH_FUZZ"), out int times) ? times : 6;

    public static int Below(int most, int stream, int index) => Noise.Below(most, Bf16.Seed, (ulong)stream, (ulong)index);
}
