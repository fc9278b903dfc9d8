using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Micro-kernels of the matrix product: rows × vectors of c in registers, one term a turn: a[depth][rows] broadcast,
/// b[depth][columns] loaded. Accumulators are locals because the compiler keeps no array in registers.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Kernel14x2(float* a, float* b, float* c, long stride, int depth, bool add)
    {
        V ca0 = V.Zero, cb0 = V.Zero, cc0 = V.Zero, cd0 = V.Zero, ce0 = V.Zero, cf0 = V.Zero, cg0 = V.Zero, ch0 = V.Zero, ci0 = V.Zero, cj0 = V.Zero, ck0 = V.Zero, cl0 = V.Zero, cm0 = V.Zero, cn0 = V.Zero;
        V ca1 = V.Zero, cb1 = V.Zero, cc1 = V.Zero, cd1 = V.Zero, ce1 = V.Zero, cf1 = V.Zero, cg1 = V.Zero, ch1 = V.Zero, ci1 = V.Zero, cj1 = V.Zero, ck1 = V.Zero, cl1 = V.Zero, cm1 = V.Zero, cn1 = V.Zero;
        for (int t = 0; t < depth; t++, a += 14, b += 32)
        {
            V b0 = V.Load(b), b1 = V.Load(b + 16), x;
            x = V.Create(a[0]); ca0 = V.Fma(x, b0, ca0); ca1 = V.Fma(x, b1, ca1);
            x = V.Create(a[1]); cb0 = V.Fma(x, b0, cb0); cb1 = V.Fma(x, b1, cb1);
            x = V.Create(a[2]); cc0 = V.Fma(x, b0, cc0); cc1 = V.Fma(x, b1, cc1);
            x = V.Create(a[3]); cd0 = V.Fma(x, b0, cd0); cd1 = V.Fma(x, b1, cd1);
            x = V.Create(a[4]); ce0 = V.Fma(x, b0, ce0); ce1 = V.Fma(x, b1, ce1);
            x = V.Create(a[5]); cf0 = V.Fma(x, b0, cf0); cf1 = V.Fma(x, b1, cf1);
            x = V.Create(a[6]); cg0 = V.Fma(x, b0, cg0); cg1 = V.Fma(x, b1, cg1);
            x = V.Create(a[7]); ch0 = V.Fma(x, b0, ch0); ch1 = V.Fma(x, b1, ch1);
            x = V.Create(a[8]); ci0 = V.Fma(x, b0, ci0); ci1 = V.Fma(x, b1, ci1);
            x = V.Create(a[9]); cj0 = V.Fma(x, b0, cj0); cj1 = V.Fma(x, b1, cj1);
            x = V.Create(a[10]); ck0 = V.Fma(x, b0, ck0); ck1 = V.Fma(x, b1, ck1);
            x = V.Create(a[11]); cl0 = V.Fma(x, b0, cl0); cl1 = V.Fma(x, b1, cl1);
            x = V.Create(a[12]); cm0 = V.Fma(x, b0, cm0); cm1 = V.Fma(x, b1, cm1);
            x = V.Create(a[13]); cn0 = V.Fma(x, b0, cn0); cn1 = V.Fma(x, b1, cn1);
        }
        PutTwo(ca0, ca1, c, add); PutTwo(cb0, cb1, c + stride, add);
        PutTwo(cc0, cc1, c + 2 * stride, add); PutTwo(cd0, cd1, c + 3 * stride, add);
        PutTwo(ce0, ce1, c + 4 * stride, add); PutTwo(cf0, cf1, c + 5 * stride, add);
        PutTwo(cg0, cg1, c + 6 * stride, add); PutTwo(ch0, ch1, c + 7 * stride, add);
        PutTwo(ci0, ci1, c + 8 * stride, add); PutTwo(cj0, cj1, c + 9 * stride, add);
        PutTwo(ck0, ck1, c + 10 * stride, add); PutTwo(cl0, cl1, c + 11 * stride, add);
        PutTwo(cm0, cm1, c + 12 * stride, add); PutTwo(cn0, cn1, c + 13 * stride, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Kernel6x1(float* a, float* b, float* c, long stride, int depth, bool add)
    {
        V ca0 = V.Zero, cb0 = V.Zero, cc0 = V.Zero, cd0 = V.Zero, ce0 = V.Zero, cf0 = V.Zero;
        for (int t = 0; t < depth; t++, a += 6, b += 16)
        {
            V b0 = V.Load(b), x;
            x = V.Create(a[0]); ca0 = V.Fma(x, b0, ca0);
            x = V.Create(a[1]); cb0 = V.Fma(x, b0, cb0);
            x = V.Create(a[2]); cc0 = V.Fma(x, b0, cc0);
            x = V.Create(a[3]); cd0 = V.Fma(x, b0, cd0);
            x = V.Create(a[4]); ce0 = V.Fma(x, b0, ce0);
            x = V.Create(a[5]); cf0 = V.Fma(x, b0, cf0);
        }
        Put(ca0, c, add); Put(cb0, c + stride, add); Put(cc0, c + 2 * stride, add);
        Put(cd0, c + 3 * stride, add); Put(ce0, c + 4 * stride, add); Put(cf0, c + 5 * stride, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void Kernel3x1(float* a, float* b, float* c, long stride, int depth, bool add)
    {
        V ca0 = V.Zero, cb0 = V.Zero, cc0 = V.Zero;
        for (int t = 0; t < depth; t++, a += 3, b += 16)
        {
            V b0 = V.Load(b), x;
            x = V.Create(a[0]); ca0 = V.Fma(x, b0, ca0);
            x = V.Create(a[1]); cb0 = V.Fma(x, b0, cb0);
            x = V.Create(a[2]); cc0 = V.Fma(x, b0, cc0);
        }
        Put(ca0, c, add); Put(cb0, c + stride, add); Put(cc0, c + 2 * stride, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void PutTwo(V left, V right, float* c, bool add)
    {
        Put(left, c, add);
        Put(right, c + 16, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static void Put(V v, float* c, bool add) => V.Store(add ? v + V.Load(c) : v, c);
}
