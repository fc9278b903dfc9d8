using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Unary<F>(Tensor x, Tensor y)
    {
        float* from = Of(x), to = Of(y);
        ForFloats(x.Shape, (start, end) => UnaryTile<F>(from + start, to + start, end - start));
        if (!F.KeepsZero) ClearPadding(y);
    }

    // Padding lanes of dy are zero, and so is their product with f'.
    internal override void UnaryBackward<F>(Tensor x, Tensor dy, Tensor dx)
    {
        float* from = Of(x), d = Of(dy), to = Of(dx);
        ForFloats(x.Shape, (start, end) => UnaryBackwardTile<F>(from + start, d + start, to + start, end - start));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void UnaryTile<F>(float* x, float* y, long n) where F : struct, IUnary
    {
        for (long i = 0; i < n; i += 16) V.Store(F.Apply(V.Load(x + i)), y + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    static void UnaryBackwardTile<F>(float* x, float* dy, float* dx, long n) where F : struct, IUnary
    {
        for (long i = 0; i < n; i += 16) V.Store(F.Backward(V.Load(x + i), V.Load(dy + i)), dx + i);
    }

    /// Zeros the lanes past the last channel of a map, or past the end of anything else.
    static void ClearPadding(Tensor t)
    {
        var s = t.Shape;
        if (!s.IsMap)
        {
            for (long i = s.Count; i < CpuLayout.Floats(s); i++) Of(t)[i] = 0;
            return;
        }
        int used = s.Channels % 16, area = s.Height * s.Width;
        if (used == 0) return;
        long imageFloats = CpuLayout.Floats(s) / s.Images;
        for (int n = 1; n <= s.Images; n++)
            for (float* p = Of(t) + n * imageFloats - 16L * area, end = p + 16L * area; p < end; p += 16)
                for (int lane = used; lane < 16; lane++) p[lane] = 0;
    }
}
