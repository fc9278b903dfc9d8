using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    /// <summary>
    /// Register-blocked products over strips of Width columns: of a matrix as it lies, or cut into strips, each [rows][Width] in a row.
    /// Rows × Width is what the registers hold; eight rows of two registers already hide the latency of the multiply-add.
    /// </summary>
    static class Panels
    {
        public static int Width { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => V.Accumulators >= 16 ? 32 : 16; }
        public static int Rows { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => V.Accumulators >= 16 ? 8 : V.Accumulators >= 4 ? 4 : 2; }

        /// So that a tile of classes is asked for in the time of its products with 128 rows, whatever the registers.
        static int TermsPerLine { [MethodImpl(MethodImplOptions.AggressiveInlining)] get => 2048 / (Rows * Width); }

        /// c [Rows, Width] = a [Rows, depth] · b [depth, Width], or c += where asked. Element (i, k) of a is a[i·row + k·column], rows of b and c are `line` and `stride` apart.
        /// Meanwhile it asks for memory from <paramref name="ahead"/> on, a line at a time, as much as <see cref="Ahead"/> says.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Product(int depth, float* a, long row, long column, float* b, long line, float* c, long stride, bool add, float* ahead)
        {
            if (V.Accumulators >= 16) Product8x2(depth, a, row, column, b, line, c, stride, add, ahead);
            else if (V.Accumulators >= 4) Product4x1(depth, a, row, column, b, line, c, stride, add, ahead);
            else Product2x1(depth, a, row, column, b, line, c, stride, add, ahead);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
        static void Product8x2(int depth, float* a, long row, long column, float* b, long line, float* c, long stride, bool add, float* ahead)
        {
            float* a1 = a + row, a2 = a1 + row, a3 = a2 + row, a4 = a3 + row, a5 = a4 + row, a6 = a5 + row, a7 = a6 + row;
            V c00 = V.Zero, c01 = V.Zero, c10 = V.Zero, c11 = V.Zero, c20 = V.Zero, c21 = V.Zero, c30 = V.Zero, c31 = V.Zero;
            V c40 = V.Zero, c41 = V.Zero, c50 = V.Zero, c51 = V.Zero, c60 = V.Zero, c61 = V.Zero, c70 = V.Zero, c71 = V.Zero;
            for (long k = 0; depth > 0; depth -= TermsPerLine, ahead += 16)
            {
                Lanes.Prefetch(ahead, 1);
                for (int n = Math.Min(depth, TermsPerLine); n > 0; n--, k += column, b += line)
                {
                    V b0 = V.Load(b), b1 = V.Load(b + 16), t = V.Create(a[k]);
                    V.AddProduct(ref c00, t, b0); V.AddProduct(ref c01, t, b1); t = V.Create(a1[k]);
                    V.AddProduct(ref c10, t, b0); V.AddProduct(ref c11, t, b1); t = V.Create(a2[k]);
                    V.AddProduct(ref c20, t, b0); V.AddProduct(ref c21, t, b1); t = V.Create(a3[k]);
                    V.AddProduct(ref c30, t, b0); V.AddProduct(ref c31, t, b1); t = V.Create(a4[k]);
                    V.AddProduct(ref c40, t, b0); V.AddProduct(ref c41, t, b1); t = V.Create(a5[k]);
                    V.AddProduct(ref c50, t, b0); V.AddProduct(ref c51, t, b1); t = V.Create(a6[k]);
                    V.AddProduct(ref c60, t, b0); V.AddProduct(ref c61, t, b1); t = V.Create(a7[k]);
                    V.AddProduct(ref c70, t, b0); V.AddProduct(ref c71, t, b1);
                }
            }
            Put(c00, c01, c, add); Put(c10, c11, c += stride, add); Put(c20, c21, c += stride, add); Put(c30, c31, c += stride, add);
            Put(c40, c41, c += stride, add); Put(c50, c51, c += stride, add); Put(c60, c61, c += stride, add); Put(c70, c71, c + stride, add);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
        static void Product4x1(int depth, float* a, long row, long column, float* b, long line, float* c, long stride, bool add, float* ahead)
        {
            float* a1 = a + row, a2 = a1 + row, a3 = a2 + row;
            V c0 = V.Zero, c1 = V.Zero, c2 = V.Zero, c3 = V.Zero;
            for (long k = 0; depth > 0; depth -= TermsPerLine, ahead += 16)
            {
                Lanes.Prefetch(ahead, 1);
                for (int n = Math.Min(depth, TermsPerLine); n > 0; n--, k += column, b += line)
                {
                    V v = V.Load(b);
                    V.AddProduct(ref c0, V.Create(a[k]), v);
                    V.AddProduct(ref c1, V.Create(a1[k]), v);
                    V.AddProduct(ref c2, V.Create(a2[k]), v);
                    V.AddProduct(ref c3, V.Create(a3[k]), v);
                }
            }
            Put(c0, c, add);
            Put(c1, c += stride, add);
            Put(c2, c += stride, add);
            Put(c3, c + stride, add);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
        static void Product2x1(int depth, float* a, long row, long column, float* b, long line, float* c, long stride, bool add, float* ahead)
        {
            V c0 = V.Zero, c1 = V.Zero;
            for (long k = 0; depth > 0; depth -= TermsPerLine, ahead += 16)
            {
                Lanes.Prefetch(ahead, 1);
                for (int n = Math.Min(depth, TermsPerLine); n > 0; n--, k += column, b += line)
                {
                    V v = V.Load(b);
                    V.AddProduct(ref c0, V.Create(a[k]), v);
                    V.AddProduct(ref c1, V.Create(a[row + k]), v);
                }
            }
            Put(c0, c, add);
            Put(c1, c + stride, add);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Put(V v, float* c, bool add) => V.Store(add ? V.Load(c) + v : v, c);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static void Put(V v, V w, float* c, bool add)
        {
            Put(v, c, add);
            Put(w, c + 16, add);
        }

        /// How far a product of that depth moves on in the memory it asks for.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static int Ahead(int depth) => (depth + TermsPerLine - 1) / TermsPerLine * 16;

        /// Rows of a matrix → strips [⌈columns/Width⌉][height][Width], zeros past the last column.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void Pack(float* from, int rows, int columns, long stride, float* strips, int height)
        {
            for (int r = 0; r < rows; r++)
                for (int k = 0; k < columns; k += Width)
                {
                    float* to = strips + (long)k * height + r * Width;
                    for (int i = 0; i < Width; i += 16) V.Store(k + i < columns ? Lanes.LoadPart<V>(from + r * stride + k + i, columns - k - i) : V.Zero, to + i);
                }
        }

        /// Columns of a matrix → strips of rows [⌈rows/Width⌉][columns][Width], zeros past the last row.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public static void PackTransposed(float* from, int rows, int columns, float* strips)
        {
            for (int r = 0; r < (rows + Width - 1) / Width * Width; r++)
            {
                float* to = strips + (long)(r / Width) * columns * Width + r % Width;
                for (int k = 0; k < columns; k++) to[(long)k * Width] = r < rows ? from[(long)r * columns + k] : 0;
            }
        }
    }
}
