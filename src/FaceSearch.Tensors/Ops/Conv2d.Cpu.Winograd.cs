namespace FaceSearch.Tensors;

/// <summary>
/// Output tiles of 4×4 pixels, counted column by column, row by row and image by image, and the parts they are worked on
/// in: bands of whole tile rows of one image, or several whole images.
/// </summary>
readonly record struct WinogradTiles(int Images, int Rows, int Columns, int PartImages, int PartRows)
{
    /// Pixels of a tile along one direction, and the points it is evaluated at: (Side + 3 − 1)².
    public const int Side = 4, Points = 36;

    /// <summary>Near-equal parts of about `partTiles`; whole images go in a multiple of `share` parts, so that as many threads end together.</summary>
    public static WinogradTiles Of(Shape map, int partTiles, int share)
    {
        int rows = (map.Height + Side - 1) / Side, columns = (map.Width + Side - 1) / Side;
        int Parts(double tiles) => Math.Max(1, (int)Math.Round(tiles / partTiles));
        int bands = Math.Min(rows, Parts(rows * columns));
        int groups = Math.Min(map.Images, bands > 1 ? map.Images : (Parts((double)map.Images * rows * columns) + share - 1) / share * share);
        return new(map.Images, rows, columns, (map.Images + groups - 1) / groups, (rows + bands - 1) / bands);
    }

    int Bands => (Rows + PartRows - 1) / PartRows;
    public int Parts => (Images + PartImages - 1) / PartImages * Bands;
    /// Tiles of the largest part.
    public int PartTiles => PartImages * PartRows * Columns;

    public WinogradPart Part(int index)
    {
        int image = index / Bands * PartImages, row = index % Bands * PartRows;
        return new(image, Math.Min(PartImages, Images - image), row, Math.Min(PartRows, Rows - row), Columns);
    }
}

/// Tile rows from TileRow on, of so many images from Image on.
readonly record struct WinogradPart(int Image, int Images, int TileRow, int TileRows, int Columns)
{
    public int Tiles => Images * TileRows * Columns;
    public int FirstRow => TileRow * WinogradTiles.Side;
    public int Rows => TileRows * WinogradTiles.Side;
}

/// <summary>Rows of a map that will be read or written soon: asked for by and by while products leave memory at rest.</summary>
readonly unsafe record struct RowsAhead(nint First, long PlaneFloats, int Planes, int Vectors)
{
    /// The rows of all channels of a part; none where there is no part.
    public static RowsAhead Of(float* map, Shape s, WinogradPart? part)
    {
        if (part is not { } rows) return default;
        int blocks = CpuLayout.Blocks(s.Channels);
        long plane = (long)s.Height * s.Width * 16;
        return new((nint)(map + rows.Image * blocks * plane + (long)rows.FirstRow * s.Width * 16), plane, rows.Images * blocks, Math.Min(rows.Rows, s.Height - rows.FirstRow) * s.Width);
    }

    /// The share of one of the 36 points.
    public void Ask(int point)
    {
        int begin = Vectors * point / WinogradTiles.Points, end = Vectors * (point + 1) / WinogradTiles.Points;
        for (int p = 0; p < Planes; p++) Lanes.Prefetch((float*)First + p * PlaneFloats + begin * 16, end - begin);
    }
}

/// <summary>
/// Winograd's convolution F(4×4, 3×3): y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A on tiles of 6×6 inputs and 4×4 outputs (Lavin and Gray,
/// "Fast Algorithms for Convolutional Neural Networks", 2015). What remains is a matrix product [tiles × inputs]·[inputs × outputs]
/// at each of 36 points: 36 multiplications where the direct sum has 144. The gradient of x is the same, with the weights
/// rotated and transposed.
///
/// Tiling: a part of the tiles is read by Band, transformed, multiplied and transformed back by one thread, so that its
/// points stay in the L2 cache; when it ends, all channels of its output rows are complete. Wide layers get parts beyond
/// L2, because each part reads all weights of all points. An image's result depends neither on its part nor on its batch.
///
/// Error against fp64: about twice the direct kernels' (rms 0.5 to 2.2 millionths), still below plain float sums', so tests grant no
/// slack. That is owed to the points 0, ±5/8, ±3/2, ∞, as oneDNN has them; the textbook's 0, ±1, ±2, ∞ save a few multiplications
/// and erred two to five times more. A weight gradient over many tiles errs up to three times the direct one, which
/// has more partial sums.
///
/// One core of a Zen 5 (244 GF/s), AVX-512, forward and both gradients, and how much faster than the direct kernels:
///   batch 32: 64 channels 56² 40 ms, 2.4×; 128 28² 32 ms, 2.9×; 256 14² 41 ms, 2.2×; 512 7² 57 ms, 1.8×
///   batch 64: 16 48² 1.4×; 32 24² 1.8×; 64 12² 2.2×; 64 channels at 7² 2.1×, 6² 1.6×, 5² 1.2×, 4² 2.7×, 3² 1.9×, 2² 1.0 to 1.2×, 1² 0.7×
/// AVX2 and portable gain 2.4 to 3.6× from 12² up; 16 channels 5² break even everywhere. Lost: three inputs (0.6×: their one block costs as much as
/// sixteen); four do not lose. 512 channels at 7² need a batch of eight to pay for their transformed weights.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Floats at all points that a part fills, input and output: half of a core's L2.
    const int PartFloats = 1 << 17;
    // Tiles below which reading the weights of all points costs more than multiplying with them.
    const int LeastPartTiles = 48;
    // Sums over fewer channels and smaller maps are faster directly, or no slower.
    const int LeastInputs = 4, LeastSide = 3;

    /// <summary>Leaves every convolution to the direct kernels: nearer to fp64, and about half as fast at 3×3.</summary>
    internal bool Exact { get; init; }

    /// Shapes alone decide, and not the number of images: what a network makes of an image must not depend on its batch.
    bool IsWinograd(Shape weight, Shape map, int inputs, Sliding sliding) =>
        !Exact && sliding is { Stride: 1, Padding: 1, Groups: 1 } && weight[2] == 3 && weight[3] == 3
        && inputs >= LeastInputs && Math.Min(map.Height, map.Width) >= LeastSide;

    static int TilesOfPart(WeightChannels channels) => Math.Max(LeastPartTiles, PartFloats / (WinogradTiles.Points * 16 * (channels.InBlocks + channels.OutBlocks)));

    /// Floats from point to point of so many vectors: an odd number of cache lines, as powers of two share a cache set.
    static long PointFloats(long vectors) => (vectors | 1) * 16;
    static long PointFloats(WeightChannels channels) => PointFloats(channels.PackedFloats(1) / 16);

    static Frame WinogradFrame(int columns) => new(-1, -1, 3, 3, 1, columns * WinogradTiles.Side);

    void Winograd(Tensor from, Tensor weight, Tensor to, bool transposed, Tensor? moments)
    {
        var channels = new WeightChannels(weight.Shape, 1, transposed);
        using var packed = New(Shape.Of(WinogradTiles.Points, checked((int)PointFloats(channels))));
        PackWinograd(weight, packed, channels);
        var tiles = WinogradTiles.Of(to.Shape, TilesOfPart(channels), share: 4);
        int rows = tiles.PartRows * WinogradTiles.Side;
        using var partials = moments is null ? null : New(BandMoments.Partials(to.Shape, rows));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), rows);
        workers.Run(tiles.Parts, (index, worker) =>
        {
            var part = tiles.Part(index);
            var band = Band(from, part.Image, part.Images, 0, channels.InBlocks, WinogradFrame(part.Columns), part.FirstRow, part.Rows, worker);
            long ins = PointFloats((long)channels.InBlocks * part.Tiles), outs = PointFloats((long)channels.OutBlocks * part.Tiles);
            float* half = Scratch(worker, TransformFloats + WinogradTiles.Points * (ins + outs), second: true), u = half + TransformFloats, m = u + WinogradTiles.Points * ins;
            for (int block = 0; block < channels.InBlocks; block++) ToPoints<InputTransform>(band, block, part, u + (long)block * part.Tiles * 16, ins, half);
            // The rows that this thread will likely read next, and those it is about to write.
            WinogradPart? later = index + workers.Count < tiles.Parts ? tiles.Part(index + workers.Count) : null;
            RowsAhead next = RowsAhead.Of(Of(from.Deferred?.Source ?? from), from.Shape, later), results = RowsAhead.Of(Of(to), to.Shape, part);
            MultiplyPoints(u, ins, Of(packed), m, outs, channels, part.Tiles, next, results);
            FromPoints(m, outs, to, part, half);
            for (int image = part.Image; partials is not null && image < part.Image + part.Images; image++)
                for (int block = 0; block < channels.OutBlocks; block++) sums.Add(image, block, part.FirstRow);
        });
        Join(sums, moments);
    }

    /// The tiles of one block of a band at all points: `to` [points][tiles][16], the points `pointFloats` apart.
    static void ToPoints<T>(InputBand band, int block, WinogradPart part, float* to, long pointFloats, float* half) where T : ITransform
    {
        for (int image = 0; image < part.Images; image++)
            for (int row = 0; row < part.TileRows; row++, to += part.Columns * 16)
            {
                float* from = (float*)band.Pixels + image * band.ImageFloats + block * band.BlockFloats + row * WinogradTiles.Side * band.RowFloats;
                Transform<T>(from, band.RowFloats, 16, WinogradTiles.Side * 16, to, 6 * pointFloats, pointFloats, 16, part.Columns, half);
            }
    }

    /// At every point: m[output][tile] = Σ_input u[input][tile] · w[input][output].
    static void MultiplyPoints(float* u, long uFloats, float* w, float* m, long mFloats, WeightChannels channels, int tiles, RowsAhead next, RowsAhead results)
    {
        int offset = 0;
        var sum = new Reduction { Blocks = channels.InBlocks, LastChannels = channels.Ins - (channels.InBlocks - 1) * 16, Taps = 1, Offsets = &offset, BlockFloats = tiles * 16L };
        for (int point = 0; point < WinogradTiles.Points; point++, u += uFloats, m += mFloats, w += PointFloats(channels))
        {
            next.Ask(point);
            results.Ask(point);
            float* slice = w, to = m;
            for (int block = 0; block < channels.OutBlocks; block += Pair, slice += channels.SliceFloats(1), to += Pair * tiles * 16L)
                if (Pair > 1 && block + 1 < channels.OutBlocks) DenseRow<Size2>(&sum, u, slice, to, to + tiles * 16L, 16, tiles);
                else DenseRow<Size1>(&sum, u, slice, to, to, 16, tiles);
        }
    }

    /// All outputs of a part: rows of tiles go straight into the map, tiles that the map cuts off through a patch.
    static void FromPoints(float* m, long pointFloats, Tensor to, WinogradPart part, float* half)
    {
        const int side = WinogradTiles.Side;
        var s = to.Shape;
        int blocks = CpuLayout.Blocks(s.Channels);
        for (int block = 0; block < blocks; block++)
            for (int image = part.Image; image < part.Image + part.Images; image++)
                for (int row = part.FirstRow; row < part.FirstRow + part.Rows; row += side, m += part.Columns * 16)
                {
                    float* y = Of(to) + (((long)image * blocks + block) * s.Height + row) * s.Width * 16;
                    int rows = Math.Min(side, s.Height - row), whole = rows == side ? s.Width / side : 0;
                    Transform<OutputTransform>(m, 6 * pointFloats, pointFloats, 16, y, s.Width * 16, 16, side * 16, whole, half);
                    for (int column = whole; column < part.Columns; column++)
                        CutOffTile(m + column * 16, pointFloats, y + column * side * 16, s.Width * 16, rows, Math.Min(side, s.Width - column * side), half);
                }
    }

    static void CutOffTile(float* m, long pointFloats, float* y, int rowFloats, int rows, int columns, float* half)
    {
        float* patch = half + PatchOffset;
        Transform<OutputTransform>(m, 6 * pointFloats, pointFloats, 0, patch, WinogradTiles.Side * 16, 16, 0, 1, half);
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++) V.Store(V.Load(patch + (r * WinogradTiles.Side + c) * 16), y + r * rowFloats + c * 16);
    }
}
