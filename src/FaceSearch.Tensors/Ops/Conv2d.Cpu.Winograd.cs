namespace FaceSearch.Tensors;

/// <summary>
/// Winograd's convolution F(m×n, 3×3): y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A on tiles of 7×7 inputs and 5×5 outputs, and of 6 and 4 in either
/// direction where five does not fit (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016; the polynomials are
/// Toom's and Cook's). What remains is a matrix product [tiles × inputs]·[inputs × outputs] at each of up to 49 points: 49
/// multiplications where the direct sum has 225. A four beside fives has six of their seven points, so both share one set of weights. 14²
/// costs 400 multiplications, and 576 in fours. A side without fives has points of its own, better ones, and tiles of four and of three: 6² costs 100
/// multiplications, in fours 144. The gradient of x is the same as y, with the weights rotated and transposed.
///
/// Stride 2 has tiles of four outputs and of three at nine and seven points a side (Conv2d.Cpu.Winograd.Strided.cs): 81 multiplications where the
/// direct sum has 144. Points that share their weights take turns at each slice of these.
///
/// Tiling: a part of the tiles is read by Band, transformed, multiplied and transformed back by one thread, so that its
/// points stay in the L2 cache; when it ends, all channels of its output rows are complete. Wide layers get parts beyond
/// L2, because each part reads all weights of all points. An image's result depends neither on its part nor on its batch.
///
/// Error against fp64, rms in millionths, at 16 / 64 / 256 channels 14²: 0.9 / 1.5 / 1.5, the direct kernels' 0.2 / 0.4 / 0.8, fours alone
/// 0.5 / 0.8 / 0.8; of a weight gradient 1.0, direct 0.2, fours 0.5. Tests grant fives a slack of two against plain float sums. Seven finite points,
/// symmetric about 0, are what makes fives possible: products err 3.3 times the direct sum at 256 channels, and 9 times on
/// 0, ±5/8, ±3/2, ∞ and a seventh, 4.7 on the best such set. Sums by slabs of the inputs halve that. 0, ±1/2, ±1, ±2, ∞ for tiles of six: 6.9, and 14 costs no less.
///
/// With stride 2 it is that of the direct kernels or less: fewer terms are summed, and two taps amplify little.
///
/// One core of a Zen 5 (250 GF/s), AVX-512, forward and both gradients, and how much faster than the direct kernels:
///   batch 32: 64 channels 56² 33 ms, 2.8×; 128 28² 29 ms, 3.2×; 256 14² 32 ms, 3.0×; 512 7² 51 ms, 2.0×
///   batch 64: 16 48² 1.6×; 32 24² 2.2×; 64 12² 2.7×; 64 channels at 7² 1.8×, 6² 1.3× (then in fours; 1.15 and 1.4 times faster since), 5² 2.4×, 4² 2.0×, 3² 1.4×; 16 channels 5² 1.6×
/// One core of a Zen 4 (118 GF/s), stride 2, batch 16: 64 channels 112² 1.3×; 128 56² 1.4×; 256 28² 1.3×; 512 14² 1.1×; batch 64: 16 to 32 channels
/// 24² no slower, 32 to 64 12² 1.1×
/// Lost: three inputs (their one block costs as much as sixteen); four do not lose. 512 channels at 7² need a batch of eight
/// to pay for their transformed weights.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Floats at all points that a part fills, input and output: half of a core's L2.
    const int PartFloats = 1 << 17;
    // Tiles below which reading the weights of all points costs more than multiplying with them.
    const int LeastPartTiles = 48;
    // Blocks of inputs summed in registers before they are added to what is in memory: short sums err less. (Twice as many blocks: 1 % faster, a third more error.)
    const int SlabBlocks = 4, MostSlabs = 4;
    // Sums over fewer channels are faster directly, or no slower.
    const int LeastInputs = 4, LeastInputsStrided = 16;

    /// <summary>Leaves every convolution to the direct kernels: nearer to fp64, and about half as fast at 3×3.</summary>
    internal bool Exact { get; init; }

    /// Shapes alone decide, and not the number of images: what a network makes of an image must not depend on its batch.
    bool IsWinograd(Shape weight, Shape map, int inputs, Sliding sliding) =>
        !Exact && sliding is { Stride: 1 or 2, Padding: 1, Groups: 1 } && weight[2] == 3 && weight[3] == 3
        && inputs >= (sliding.Stride == 1 ? LeastInputs : LeastInputsStrided) && Pays(map.Height, sliding.Stride) && Pays(map.Width, sliding.Stride);

    /// Whether a side takes fewer than 2.5 products an output; the direct sum takes 3. The sides 1 and 2 do not, and 5 with stride 2.
    static bool Pays(int length, int stride) => 2 * new WinogradSide(length, stride == 1 ? Sampling.Same : Sampling.Down).Products < 5 * length;

    static int TilesOfPart(WeightChannels channels, Shape map, Sampling sampling)
    {
        // Of weights a part reads as much as of its tiles where these are In·Out / (In + Out); half so many, as tiles are also written.
        int blocks = channels.InBlocks + channels.OutBlocks, balance = 8 * channels.InBlocks * channels.OutBlocks / blocks;
        return Math.Max(Math.Max(LeastPartTiles, balance), PartFloats / (WinogradTiles.PointsOf(map, sampling) * 16 * blocks));
    }

    /// Floats from point to point of so many vectors: an odd number of cache lines, as powers of two share a cache set.
    static long PointFloats(long vectors) => (vectors | 1) * 16;
    static long PointFloats(WeightChannels channels) => PointFloats(channels.PackedFloats(1) / 16);

    /// What the tiles of a part read of one channel block.
    InputBand WinogradBand(Tensor from, WinogradPart part, int block, int worker)
    {
        var frame = part.Sampling switch
        {
            Sampling.Same => new Frame(-1, -1, 3, 3, 1, part.Width.Covered),
            Sampling.Down => new Frame(-1, -1, 2, 2, 1, 2 * part.Width.Covered),
            _ => new Frame(0, 0, 2, 2, 1, part.Width.Covered),
        };
        return Band(from, part.Image, part.Images, block, 1, frame, part.RowsRead * part.FirstRow, part.RowsRead * part.Rows, worker);
    }

    /// y from x, or where `transposed` dx from dy.
    void Winograd(Tensor from, Tensor weight, Tensor to, int stride, bool transposed, Tensor? moments)
    {
        var channels = new WeightChannels(weight.Shape, 1, transposed);
        var (map, sampling) = stride == 1 ? (to.Shape, Sampling.Same) : transposed ? (from.Shape, Sampling.Up) : (to.Shape, Sampling.Down);
        var tiles = WinogradTiles.Of(map, sampling, TilesOfPart(channels, map, sampling), share: Math.Clamp(workers.Count, 2, 4));
        using var packed = AtPoints(weight, channels, map, stride, tiles);
        int[] bands = tiles.BandRows;
        using var partials = moments is null ? null : New(BandMoments.Partials(to.Shape, bands));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), bands);
        workers.Run(tiles.Parts, (index, worker) =>
        {
            var part = tiles.Part(index);
            long ins = PointFloats((long)channels.InBlocks * part.Tiles), outs = PointFloats((long)channels.OutBlocks * part.Tiles);
            float* half = Scratch(worker, TransformFloats + tiles.Points * (ins + outs), second: true), u = half + TransformFloats, m = u + tiles.Points * ins;
            for (int block = 0; block < channels.InBlocks; block++)
                ToPoints<InputTransform>(WinogradBand(from, part, block, worker), part, part.RowsRead, u + (long)block * part.Tiles * 16, ins, half);
            // The rows that this thread will likely read next, and those it is about to write.
            WinogradPart? later = index + 1 < tiles.Parts ? tiles.Part(index + 1) : null;
            RowsAhead next = RowsAhead.Of(Of(from.Deferred?.Source ?? from), from.Shape, later, part.RowsRead), results = RowsAhead.Of(Of(to), to.Shape, part, part.RowsWritten);
            MultiplyPoints(u, ins, Of(packed), m, outs, channels, part, next, results);
            FromPoints(m, outs, to, part, half);
            for (int image = part.Image; partials is not null && image < part.Image + part.Images; image++)
                for (int block = 0; block < channels.OutBlocks; block++) sums.Add(image, block, part.FirstRow);
        });
        Join(sums, moments);
    }

    /// The tiles of a band of one block, which has `scale` rows for each of a tile, at all points: `to` [points][tiles][16], the points `pointFloats` apart.
    static void ToPoints<T>(InputBand band, WinogradPart part, int scale, float* to, long pointFloats, float* half) where T : ITransform
    {
        for (int i = 0; i < WinogradPart.Forms; i++)
        {
            var form = part.Form(i);
            float* from = (float*)band.Pixels + scale * form.Top * band.RowFloats + scale * form.Left * 16;
            Transform<T>(form, from, new(band.RowFloats, 16, scale * form.Width * 16, scale * form.Height * band.RowFloats, band.ImageFloats), to + form.First * 16, AtPoints(part, form, pointFloats), half);
        }
    }

    static TileSteps AtPoints(WinogradPart part, WinogradForm form, long pointFloats) =>
        new(part.Width.Points * pointFloats, pointFloats, 16, form.Columns * 16, form.Rows * form.Columns * 16);

    /// At every point: m[output][tile] = Σ_input u[input][tile] · w[input][output], slab by slab of the inputs.
    static void MultiplyPoints(float* u, long uFloats, float* w, float* m, long mFloats, WeightChannels channels, WinogradPart part, RowsAhead next, RowsAhead results)
    {
        int offset = 0, slabs = Math.Min(MostSlabs, (channels.InBlocks + SlabBlocks - 1) / SlabBlocks);
        var sum = new Reduction { Taps = 1, Offsets = &offset, BlockFloats = part.Tiles * 16L };
        PointTiles* points = stackalloc PointTiles[WinogradPart.MostUses];
        for (int weight = 0; weight < part.WeightPoints; weight++, w += PointFloats(channels))
        {
            next.Ask(weight, part.WeightPoints);
            results.Ask(weight, part.WeightPoints);
            int uses = part.UsesOf(weight, points);
            float* slice = w;
            for (int block = 0; block < channels.OutBlocks; block += Pair, slice += channels.SliceFloats(1))
                for (int slab = 0; slab < slabs; slab++)
                {
                    int begin = channels.InBlocks * slab / slabs, end = channels.InBlocks * (slab + 1) / slabs;
                    int width = Math.Min(Pair, channels.OutBlocks - block) * 16;
                    (sum.Blocks, sum.LastChannels, sum.Adds) = (end - begin, Math.Min(16, channels.Ins - (end - 1) * 16), slab > 0);
                    float* weights = slice + begin * 16 * width;
                    for (int use = 0; use < uses; use++)
                    {
                        var (point, first, tiles) = points[use];
                        float* from = u + point * uFloats + begin * sum.BlockFloats + first * 16, to = m + point * mFloats + block * sum.BlockFloats + first * 16;
                        // Each tile of the product asks for some of the next slab's weights, which in wide layers are not in the cache.
                        sum.Ahead = channels.InBlocks <= SlabBlocks || use > 0 ? 0 : slice + Math.Min(channels.Ins, end * 16) * width - from;
                        sum.AheadBlock = tiles * 16L - sum.BlockFloats;
                        if (width > 16) DenseRow<Size2>(&sum, from, weights, to, to + sum.BlockFloats, 16, tiles);
                        else DenseRow<Size1>(&sum, from, weights, to, to, 16, tiles);
                    }
                }
        }
    }

    /// All outputs of a part: whole tiles go straight into the map, tiles that the map cuts off through a patch.
    static void FromPoints(float* m, long pointFloats, Tensor to, WinogradPart part, float* half)
    {
        var s = to.Shape;
        int blocks = CpuLayout.Blocks(s.Channels), rowFloats = s.Width * 16, scale = part.RowsWritten;
        for (int block = 0; block < blocks; block++, m += part.Tiles * 16)
            for (int i = 0; i < WinogradPart.Forms; i++)
            {
                var form = part.Form(i);
                // A tile's outputs, and what is left of the map for them.
                int tall = scale * form.Height, wide = scale * form.Width, top = scale * (part.FirstRow + form.Top), left = scale * form.Left, height = s.Height - top, width = s.Width - left;
                float* y = Of(to) + (((long)part.Image * blocks + block) * s.Height + top) * rowFloats + left * 16;
                TileSteps from = AtPoints(part, form, pointFloats), by = new(rowFloats, 16, wide * 16, tall * rowFloats, (long)blocks * s.Height * rowFloats);
                var whole = form with { Rows = Math.Min(form.Rows, height / tall), Columns = Math.Min(form.Columns, width / wide) };
                Transform<OutputTransform>(whole, m + form.First * 16, from, y, by, half);
                for (int tile = 0; tile < form.Tiles && whole.Tiles < form.Tiles; tile++)
                {
                    int image = tile / (form.Rows * form.Columns), row = tile / form.Columns % form.Rows, column = tile % form.Columns;
                    if (row < whole.Rows && column < whole.Columns) continue;
                    float* corner = y + image * by.Image + row * by.TileRow + column * by.Tile;
                    CutOffTile(form, m + (form.First + tile) * 16, from, wide, corner, rowFloats, Math.Min(tall, height - row * tall), Math.Min(wide, width - column * wide), half);
                }
            }
    }

    static void CutOffTile(WinogradForm form, float* m, in TileSteps steps, int patchWidth, float* y, int rowFloats, int rows, int columns, float* half)
    {
        float* patch = half + PatchOffset;
        Transform<OutputTransform>(WinogradForm.Single(form.Vertical, form.Horizontal), m, steps, patch, new(patchWidth * 16, 16), half);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++) V.Store(V.Load(patch + (r * patchWidth + c) * 16), y + r * rowFloats + c * 16);
    }
}
