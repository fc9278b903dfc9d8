using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FaceSearch.Tensors;

/// <summary>
/// Sixteen float lanes. Every CPU kernel is written once over this type and compiled three times: one AVX-512 register,
/// two AVX2 registers, or four 128-bit vectors anywhere. The wrapper costs nothing: a 14×2 tile of accumulators stays
/// in registers (measured at 95 % of the core's peak).
/// </summary>
public unsafe interface ILanes<V> where V : struct, ILanes<V>
{
    /// <summary>What `doctor` prints.</summary>
    static abstract string Name { get; }
    static abstract bool IsSupported { get; }
    /// <summary>How many accumulators of sixteen lanes fit the register file beside operands: 28, 6 or 3. Picks the tile of a kernel.</summary>
    static abstract int Accumulators { get; }
    static abstract V Zero { get; }
    static abstract V Create(float value);
    /// <summary>The first three lanes, and zeros.</summary>
    static abstract V Create(float a, float b, float c);
    static abstract V Load(float* p);
    static abstract void Store(V v, float* p);
    /// <summary>The same past the caches, p a multiple of 64 bytes: memory is not read first to be overwritten.</summary>
    static abstract void Stream(V v, float* p);
    /// <summary>a·b + c, fused where the machine can.</summary>
    static abstract V Fma(V a, V b, V c);
    /// <summary>
    /// sum += a·b, fused where the machine can. For a kernel's sums: with <see cref="Fma"/> the compiler writes the result over a or b where that is
    /// needed no more, and copies it to the sum, a fifth of a kernel's instructions and up to a sixth of its time where two threads share a core.
    /// </summary>
    static abstract void AddProduct(ref V sum, V a, V b);
    static abstract V operator +(V a, V b);
    static abstract V operator -(V a, V b);
    static abstract V operator *(V a, V b);
    static abstract V operator /(V a, V b);
    static abstract V Max(V a, V b);
    static abstract V Min(V a, V b);
    static abstract V Sqrt(V a);
    /// <summary>Where x > 0: a, elsewhere b.</summary>
    static abstract V IfPositive(V x, V a, V b);
    /// <summary>Nearest whole number.</summary>
    static abstract V Round(V a);
    /// <summary>a·2^n for whole n from −126 to 127.</summary>
    static abstract V TimesPowerOf2(V a, V n);
    /// <summary>Sum of the lanes, in an order that depends on the type alone.</summary>
    static abstract float Sum(V a);
    /// <summary>Largest lane.</summary>
    static abstract float MaxLane(V a);
    /// <summary>Sixteen whole numbers of 16 bits.</summary>
    static abstract V LoadShorts(short* p);
    /// <summary>Nearest whole numbers, held to 16 bits.</summary>
    static abstract void StoreShorts(V v, short* p);
}

/// <summary>What follows from the primitives.</summary>
static unsafe class Lanes
{
    /// Asks for so many vectors of memory that are needed in microseconds; any address will do. They go to the second-level
    /// cache: it has room for them, and more of them can be on their way than to the first, which holds up what it asks for itself.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p, int vectors)
    {
        if (!Sse.IsSupported) return;
        for (int i = 0; i < vectors; i++) Sse.Prefetch1(p + 16 * i);
    }

    /// The same for a vector needed within some hundred cycles, into the first-level cache.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PrefetchNear(float* p)
    {
        if (Sse.IsSupported) Sse.Prefetch0(p);
    }

    /// The first n lanes from memory, zeros after; touches nothing past them.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V LoadPart<V>(float* p, int n) where V : struct, ILanes<V> => n >= 16 ? V.Load(p) : LoadTail<V>(p, n);

    /// Stores the first n lanes only.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StorePart<V>(V v, float* p, int n) where V : struct, ILanes<V>
    {
        if (n >= 16) V.Store(v, p);
        else StoreTail(v, p, n);
    }

    // Apart, because the JIT inlines no method that needs room on the stack.
    [MethodImpl(MethodImplOptions.NoInlining)]
    static V LoadTail<V>(float* p, int n) where V : struct, ILanes<V>
    {
        float* buffer = stackalloc float[16];
        for (int i = 0; i < 16; i++) buffer[i] = i < n ? p[i] : 0;
        return V.Load(buffer);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void StoreTail<V>(V v, float* p, int n) where V : struct, ILanes<V>
    {
        float* buffer = stackalloc float[16];
        V.Store(v, buffer);
        for (int i = 0; i < n; i++) p[i] = buffer[i];
    }

    /// e^x to 2 ulp for x from −87 to 88 (clamped outside; NaN stays, x86 returns the second operand): 2^n · p(f), a degree-6 polynomial on |f| ≤ 1/2.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V x) where V : struct, ILanes<V>
    {
        x = V.Min(V.Create(88.3f), V.Max(V.Create(-87.3f), x));
        var n = V.Round(x * V.Create(1.44269504f));
        // ln 2 in two parts, so that the remainder keeps its bits.
        var f = V.Fma(n, V.Create(-0.693359375f), x);
        f = V.Fma(n, V.Create(2.12194440e-4f), f);
        var p = V.Create(1.9875691500e-4f);
        p = V.Fma(p, f, V.Create(1.3981999507e-3f));
        p = V.Fma(p, f, V.Create(8.3334519073e-3f));
        p = V.Fma(p, f, V.Create(4.1665795894e-2f));
        p = V.Fma(p, f, V.Create(1.6666665459e-1f));
        p = V.Fma(p, f, V.Create(5.0000001201e-1f));
        p = V.Fma(p * f, f, f + V.Create(1));
        return V.TimesPowerOf2(p, n);
    }
}

/// <summary>One 512-bit register.</summary>
public unsafe struct Avx512Lanes : ILanes<Avx512Lanes>
{
    Vector512<float> v;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] Avx512Lanes(Vector512<float> v) => this.v = v;

    public static string Name => "AVX-512";
    public static bool IsSupported => Avx512F.IsSupported && Avx512DQ.IsSupported;
    public static int Accumulators => 28;
    public static Avx512Lanes Zero { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => new(Vector512<float>.Zero); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Create(float value) => new(Vector512.Create(value));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Create(float a, float b, float c) => new(Vector128.Create(a, b, c, 0).ToVector256().ToVector512());
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Load(float* p) => new(Vector512.Load(p));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Avx512Lanes a, float* p) => Vector512.Store(a.v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Stream(Avx512Lanes a, float* p) => Vector512.StoreAlignedNonTemporal(a.v, p);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Fma(Avx512Lanes a, Avx512Lanes b, Avx512Lanes c) => new(Avx512F.FusedMultiplyAdd(a.v, b.v, c.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void AddProduct(ref Avx512Lanes sum, Avx512Lanes a, Avx512Lanes b) => sum.v = Avx512F.FusedMultiplyAdd(a.v, b.v, sum.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes operator +(Avx512Lanes a, Avx512Lanes b) => new(a.v + b.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes operator -(Avx512Lanes a, Avx512Lanes b) => new(a.v - b.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes operator *(Avx512Lanes a, Avx512Lanes b) => new(a.v * b.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes operator /(Avx512Lanes a, Avx512Lanes b) => new(a.v / b.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Max(Avx512Lanes a, Avx512Lanes b) => new(Avx512F.Max(a.v, b.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Min(Avx512Lanes a, Avx512Lanes b) => new(Avx512F.Min(a.v, b.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Sqrt(Avx512Lanes a) => new(Avx512F.Sqrt(a.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes IfPositive(Avx512Lanes x, Avx512Lanes a, Avx512Lanes b) => new(Vector512.ConditionalSelect(Vector512.GreaterThan(x.v, Vector512<float>.Zero), a.v, b.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes Round(Avx512Lanes a) => new(Avx512F.RoundScale(a.v, 0));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes TimesPowerOf2(Avx512Lanes a, Avx512Lanes n) => new(Avx512F.Scale(a.v, n.v));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(Avx512Lanes a) => Vector512.Sum(a.v);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx512Lanes LoadShorts(short* p) => new(Avx512F.ConvertToVector512Single(Avx512F.ConvertToVector512Int32(Vector256.Load(p))));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void StoreShorts(Avx512Lanes a, short* p) => Vector256.Store(Avx512F.ConvertToVector256Int16WithSaturation(Avx512F.ConvertToVector512Int32(a.v)), p);

    public static float MaxLane(Avx512Lanes a)
    {
        var h = Vector256.Max(a.v.GetLower(), a.v.GetUpper());
        var q = Vector128.Max(h.GetLower(), h.GetUpper());
        return Math.Max(Math.Max(q[0], q[1]), Math.Max(q[2], q[3]));
    }
}

/// <summary>Two 256-bit registers.</summary>
public unsafe struct Avx2Lanes : ILanes<Avx2Lanes>
{
    Vector256<float> l, h;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] Avx2Lanes(Vector256<float> l, Vector256<float> h) => (this.l, this.h) = (l, h);

    public static string Name => "AVX2";
    public static bool IsSupported => Avx2.IsSupported && System.Runtime.Intrinsics.X86.Fma.IsSupported;
    public static int Accumulators => 6;
    public static Avx2Lanes Zero { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => new(Vector256<float>.Zero, Vector256<float>.Zero); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Create(float value) => new(Vector256.Create(value), Vector256.Create(value));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Create(float a, float b, float c) => new(Vector128.Create(a, b, c, 0).ToVector256(), Vector256<float>.Zero);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Load(float* p) => new(Vector256.Load(p), Vector256.Load(p + 8));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(Avx2Lanes a, float* p) { Vector256.Store(a.l, p); Vector256.Store(a.h, p + 8); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Stream(Avx2Lanes a, float* p) { Vector256.StoreAlignedNonTemporal(a.l, p); Vector256.StoreAlignedNonTemporal(a.h, p + 8); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Fma(Avx2Lanes a, Avx2Lanes b, Avx2Lanes c) => new(System.Runtime.Intrinsics.X86.Fma.MultiplyAdd(a.l, b.l, c.l), System.Runtime.Intrinsics.X86.Fma.MultiplyAdd(a.h, b.h, c.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddProduct(ref Avx2Lanes sum, Avx2Lanes a, Avx2Lanes b) =>
        (sum.l, sum.h) = (System.Runtime.Intrinsics.X86.Fma.MultiplyAdd(a.l, b.l, sum.l), System.Runtime.Intrinsics.X86.Fma.MultiplyAdd(a.h, b.h, sum.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes operator +(Avx2Lanes a, Avx2Lanes b) => new(a.l + b.l, a.h + b.h);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes operator -(Avx2Lanes a, Avx2Lanes b) => new(a.l - b.l, a.h - b.h);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes operator *(Avx2Lanes a, Avx2Lanes b) => new(a.l * b.l, a.h * b.h);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes operator /(Avx2Lanes a, Avx2Lanes b) => new(a.l / b.l, a.h / b.h);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Max(Avx2Lanes a, Avx2Lanes b) => new(Avx.Max(a.l, b.l), Avx.Max(a.h, b.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Min(Avx2Lanes a, Avx2Lanes b) => new(Avx.Min(a.l, b.l), Avx.Min(a.h, b.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Sqrt(Avx2Lanes a) => new(Avx.Sqrt(a.l), Avx.Sqrt(a.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes Round(Avx2Lanes a) => new(Avx.RoundToNearestInteger(a.l), Avx.RoundToNearestInteger(a.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes TimesPowerOf2(Avx2Lanes a, Avx2Lanes n) => new(a.l * Power(n.l), a.h * Power(n.h));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(Avx2Lanes a) => Vector256.Sum(a.l + a.h);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static Avx2Lanes LoadShorts(short* p) => new(Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32(p)), Avx.ConvertToVector256Single(Avx2.ConvertToVector256Int32(p + 8)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Avx2Lanes IfPositive(Avx2Lanes x, Avx2Lanes a, Avx2Lanes b) => new(
        Vector256.ConditionalSelect(Vector256.GreaterThan(x.l, Vector256<float>.Zero), a.l, b.l),
        Vector256.ConditionalSelect(Vector256.GreaterThan(x.h, Vector256<float>.Zero), a.h, b.h));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector256<float> Power(Vector256<float> n) => Vector256.ShiftLeft(Vector256.ConvertToInt32(n) + Vector256.Create(127), 23).AsSingle();

    // Packing works within halves of 128 bits: their order is mended after.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreShorts(Avx2Lanes a, short* p)
    {
        var packed = Avx2.PackSignedSaturate(Avx.ConvertToVector256Int32(a.l), Avx.ConvertToVector256Int32(a.h));
        Vector256.Store(Avx2.Permute4x64(packed.AsInt64(), 0b_11_01_10_00).AsInt16(), p);
    }

    public static float MaxLane(Avx2Lanes a)
    {
        var h = Vector256.Max(a.l, a.h);
        var q = Vector128.Max(h.GetLower(), h.GetUpper());
        return Math.Max(Math.Max(q[0], q[1]), Math.Max(q[2], q[3]));
    }
}

/// <summary>Four 128-bit vectors of whatever the machine has; plain loops where it has none.</summary>
public readonly unsafe struct PortableLanes : ILanes<PortableLanes>
{
    readonly Vector128<float> a, b, c, d;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] PortableLanes(Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d) => (this.a, this.b, this.c, this.d) = (a, b, c, d);

    public static string Name => "portable";
    public static bool IsSupported => true;
    public static int Accumulators => 3;
    public static PortableLanes Zero => default;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Create(float value) => new(Vector128.Create(value), Vector128.Create(value), Vector128.Create(value), Vector128.Create(value));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Create(float a, float b, float c) => new(Vector128.Create(a, b, c, 0), default, default, default);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Load(float* p) => new(Vector128.Load(p), Vector128.Load(p + 4), Vector128.Load(p + 8), Vector128.Load(p + 12));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Store(PortableLanes v, float* p) { Vector128.Store(v.a, p); Vector128.Store(v.b, p + 4); Vector128.Store(v.c, p + 8); Vector128.Store(v.d, p + 12); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void Stream(PortableLanes v, float* p) { Vector128.StoreAlignedNonTemporal(v.a, p); Vector128.StoreAlignedNonTemporal(v.b, p + 4); Vector128.StoreAlignedNonTemporal(v.c, p + 8); Vector128.StoreAlignedNonTemporal(v.d, p + 12); }
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Fma(PortableLanes x, PortableLanes y, PortableLanes z) => x * y + z;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static void AddProduct(ref PortableLanes sum, PortableLanes x, PortableLanes y) => sum = x * y + sum;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes operator +(PortableLanes x, PortableLanes y) => new(x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes operator -(PortableLanes x, PortableLanes y) => new(x.a - y.a, x.b - y.b, x.c - y.c, x.d - y.d);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes operator *(PortableLanes x, PortableLanes y) => new(x.a * y.a, x.b * y.b, x.c * y.c, x.d * y.d);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes operator /(PortableLanes x, PortableLanes y) => new(x.a / y.a, x.b / y.b, x.c / y.c, x.d / y.d);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Max(PortableLanes x, PortableLanes y) => IfPositive(x - y, x, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Min(PortableLanes x, PortableLanes y) => IfPositive(y - x, x, y);
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Sqrt(PortableLanes x) => new(Vector128.Sqrt(x.a), Vector128.Sqrt(x.b), Vector128.Sqrt(x.c), Vector128.Sqrt(x.d));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes Round(PortableLanes x) => new(Vector128.Round(x.a), Vector128.Round(x.b), Vector128.Round(x.c), Vector128.Round(x.d));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static PortableLanes TimesPowerOf2(PortableLanes x, PortableLanes n) => new(x.a * Power(n.a), x.b * Power(n.b), x.c * Power(n.c), x.d * Power(n.d));
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public static float Sum(PortableLanes x) => Vector128.Sum((x.a + x.b) + (x.c + x.d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes IfPositive(PortableLanes x, PortableLanes y, PortableLanes z) =>
        new(Select(x.a, y.a, z.a), Select(x.b, y.b, z.b), Select(x.c, y.c, z.c), Select(x.d, y.d, z.d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> Select(Vector128<float> x, Vector128<float> y, Vector128<float> z) =>
        Vector128.ConditionalSelect(Vector128.GreaterThan(x, Vector128<float>.Zero), y, z);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static Vector128<float> Power(Vector128<float> n) => Vector128.ShiftLeft(Vector128.ConvertToInt32(n) + Vector128.Create(127), 23).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PortableLanes LoadShorts(short* p)
    {
        var (l, h) = (Vector128.Load(p), Vector128.Load(p + 8));
        return new(Vector128.ConvertToSingle(Vector128.WidenLower(l)), Vector128.ConvertToSingle(Vector128.WidenUpper(l)),
            Vector128.ConvertToSingle(Vector128.WidenLower(h)), Vector128.ConvertToSingle(Vector128.WidenUpper(h)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreShorts(PortableLanes x, short* p)
    {
        x = Round(x);
        Vector128.Store(Vector128.NarrowWithSaturation(Vector128.ConvertToInt32(x.a), Vector128.ConvertToInt32(x.b)), p);
        Vector128.Store(Vector128.NarrowWithSaturation(Vector128.ConvertToInt32(x.c), Vector128.ConvertToInt32(x.d)), p + 8);
    }

    public static float MaxLane(PortableLanes x)
    {
        var m = Max(x, new(x.b, x.c, x.d, x.a));
        m = Max(m, new(m.c, m.d, m.a, m.b));
        return Math.Max(Math.Max(m.a[0], m.a[1]), Math.Max(m.a[2], m.a[3]));
    }
}
