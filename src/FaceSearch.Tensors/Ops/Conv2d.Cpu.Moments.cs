using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FaceSearch.Tensors;

/// <summary>
/// Mean and variance of a convolution's result, summed band by band while the band is in the cache: a batch norm then
/// need not read the map again. A band sums y − k, k its own first pixel, so that nothing is lost where the mean is far
/// above the deviation; the bands are joined in their order, in double.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    /// <summary>The bands of a map's rows, by their first rows, and where each leaves three vectors a block: k, Σ (y − k), Σ (y − k)².</summary>
    readonly struct BandMoments(Tensor y, float* partials, int[] bands)
    {
        const int Vectors = 3;

        int Blocks => CpuLayout.Blocks(y.Shape.Channels);

        /// Bands of so many rows, and the rest.
        public static int[] BandsOf(Shape y, int rows) => [.. Enumerable.Range(0, (y.Height + rows - 1) / rows).Select(band => band * rows)];

        public static Shape Partials(Shape y, int[] bands) => Shape.Of(y.Images * bands.Length * CpuLayout.Blocks(y.Channels), Vectors * 16);

        /// Output rows from `first` on (a whole band) of one block of an image have been written: to the map, or to `band` first.
        public void Add(int image, int block, int first, float* band = null)
        {
            long plane = ((long)image * Blocks + block) * y.Shape.Height;
            Sum(band != null ? band : Of(y) + (plane + first) * y.Shape.Width * 16, Pixels(Array.BinarySearch(bands, first)), Place(image, block, first));
        }

        /// Where the sums of the band that begins with row `first` go.
        public float* Place(int image, int block, int first) => partials + (((long)image * bands.Length + Array.BinarySearch(bands, first)) * Blocks + block) * Vectors * 16;

        int Pixels(int band) => ((band + 1 < bands.Length ? bands[band + 1] : y.Shape.Height) - bands[band]) * y.Shape.Width;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Sum(float* p, int pixels, float* to)
        {
            V k = V.Load(p), s0 = V.Zero, s1 = V.Zero, q0 = V.Zero, q1 = V.Zero;
            float* end = p + 16L * pixels;
            for (; p + 32 <= end; p += 32)
            {
                V a = V.Load(p) - k, b = V.Load(p + 16) - k;
                s0 += a;
                V.AddProduct(ref q0, a, a);
                s1 += b;
                V.AddProduct(ref q1, b, b);
            }
            if (p < end)
            {
                V last = V.Load(p) - k;
                s0 += last;
                V.AddProduct(ref q0, last, last);
            }
            V.Store(k, to);
            V.Store(s0 + s1, to + 16);
            V.Store(q0 + q1, to + 32);
        }

        /// Eight lanes: Σ (y − origin) and Σ (y − origin)² over all bands.
        void Join(float* origin, int lane, double* sum, double* squares)
        {
            Vector512<double> start = Wide(origin + lane), s = default, q = default;
            for (int band = 0; band < bands.Length; band++)
            {
                var pixels = Vector512.Create((double)Pixels(band));
                float* part = origin + (long)band * Blocks * Vectors * 16 + lane;
                for (int image = 0; image < y.Shape.Images; image++, part += (long)bands.Length * Blocks * Vectors * 16)
                {
                    Vector512<double> shift = Wide(part) - start, moved = pixels * shift, own = Wide(part + 16);
                    s += own + moved;
                    q += Wide(part + 32) + shift * (own + own + moved);
                }
            }
            Vector512.Store(s, sum + lane);
            Vector512.Store(q, squares + lane);
        }

        static Vector512<double> Wide(float* p) => Vector512.Create(Vector256.WidenLower(Vector256.Load(p)), Vector256.WidenUpper(Vector256.Load(p)));

        /// Joins the bands of one block: [2, channels] mean and biased variance.
        public void Join(int block, float* moments)
        {
            double* sum = stackalloc double[16], squares = stackalloc double[16];
            float* origin = partials + block * Vectors * 16;
            for (int lane = 0; lane < 16; lane += 8) Join(origin, lane, sum, squares);
            int channels = y.Shape.Channels;
            double count = (double)y.Shape.Count / channels;
            for (int lane = 0; lane < Math.Min(16, channels - 16 * block); lane++)
            {
                double offset = sum[lane] / count;
                moments[16 * block + lane] = (float)(origin[lane] + offset);
                moments[channels + 16 * block + lane] = (float)Math.Max(0, squares[lane] / count - offset * offset);
            }
        }
    }
}
