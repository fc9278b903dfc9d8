namespace FaceSearch.Tensors;

/// <summary>
/// Output tiles of 4×4 pixels, counted row by row and image by image, and the parts they are worked on in: bands of whole
/// tile rows of one image, or several whole images.
/// </summary>
readonly record struct WinogradTiles(int Images, int Rows, int Columns, int PartImages, int PartRows)
{
    /// Pixels of a tile along each direction, and the points it is evaluated at: Side + 3 − 1, squared.
    public const int Side = 4, Points = 36;

    public static WinogradTiles Of(Shape map, int partTiles)
    {
        int rows = (map.Height + Side - 1) / Side, columns = (map.Width + Side - 1) / Side;
        int bands = Math.Min(rows, Math.Max(1, (int)Math.Round((double)rows * columns / partTiles)));
        return new(map.Images, rows, columns, Math.Clamp(partTiles / (rows * columns), 1, map.Images), (rows + bands - 1) / bands);
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

/// Tile rows from Row on of each of these images.
readonly record struct WinogradPart(int Image, int Images, int Row, int Rows, int Columns)
{
    public int Tiles => Images * Rows * Columns;
}

public sealed unsafe partial class Cpu<V>
{
    /// <summary>Leaves 3×3 convolutions to the direct kernels: ten times nearer to fp64, and half as fast.</summary>
    internal bool Exact { get; init; }

    internal static int TuneFloats = 1 << 17, TuneMin = 14, TuneMax = 64, TuneWeight = 1 << 18;
    internal static bool TuneOff;

    bool IsWinograd(Shape weight, Shape map, Sliding sliding) => !Exact && !TuneOff && sliding is { Stride: 1, Padding: 1, Groups: 1 } && weight[2] == 3 && weight[3] == 3;

    void Winograd(Tensor from, Tensor weight, Tensor to, bool transposed, Tensor? moments)
    {
        Shape s = to.Shape;
        var channels = new WeightChannels(weight.Shape, 1, transposed);
        using var packed = New(Shape.Of(WinogradTiles.Points, checked((int)PointFloats(channels))));
        PackWinograd(weight, packed, channels);
        int perTile = WinogradTiles.Points * 16 * (channels.InBlocks + channels.OutBlocks);
        var tiles = WinogradTiles.Of(s, Math.Clamp(TuneFloats / perTile, TuneMin, TuneMax));
        var frame = new Frame(-1, -1, 3, 3, 1, tiles.Columns * WinogradTiles.Side);
        int rows = tiles.PartRows * WinogradTiles.Side;
        using var partials = moments is null ? null : New(BandMoments.Partials(s, rows));
        var sums = partials is null ? default : new BandMoments(to, Of(partials), rows);
        workers.Run(tiles.Parts, (index, worker) =>
        {
            var part = tiles.Part(index);
            int count = part.Tiles;
            var band = Band(from, part.Image, part.Images, 0, channels.InBlocks, frame, part.Row * WinogradTiles.Side, part.Rows * WinogradTiles.Side, worker);
            long ins = PointStride(channels.InBlocks, count), outs = PointStride(channels.OutBlocks, count);
            float* work = Scratch(worker, TransformFloats + WinogradTiles.Points * (ins + outs), second: true), u = work + TransformFloats, m = u + WinogradTiles.Points * ins;
            for (int block = 0; block < channels.InBlocks; block++) ToPoints<InputTransform>(band, block, part, u + (long)block * count * 16, ins, work);
            MultiplyPoints(u, ins, Of(packed), m, outs, channels, count);
            FromPoints(m, outs, to, part, work);
            for (int image = part.Image; partials is not null && image < part.Image + part.Images; image++)
                for (int block = 0; block < channels.OutBlocks; block++) sums.Add(image, block, part.Row * WinogradTiles.Side);
        });
        Join(sums, moments);
    }

    /// Floats between the points of so many blocks of so many tiles: an odd number of cache lines, as powers of two collide.
    static long PointStride(int blocks, int tiles) => ((long)blocks * tiles | 1) * 16;

    /// The tiles of one block of a band, transformed: `to` [points, stride][tiles][16].
    static void ToPoints<T>(InputBand band, int block, WinogradPart part, float* to, long stride, float* work) where T : ITransform
    {
        for (int image = 0; image < part.Images; image++)
            for (int row = 0; row < part.Rows; row++, to += part.Columns * 16)
            {
                float* from = (float*)band.Pixels + image * band.ImageFloats + block * band.BlockFloats + row * WinogradTiles.Side * band.RowFloats;
                Transform2d<T>(from, band.RowFloats, 16, WinogradTiles.Side * 16, to, 6 * stride, stride, 16, part.Columns, work);
            }
    }

    /// At every point: m[outputs][tile] = Σ_inputs u[inputs][tile] · w[inputs][outputs].
    static void MultiplyPoints(float* u, long uStride, float* w, float* m, long mStride, WeightChannels channels, int tiles)
    {
        int offset = 0;
        var sum = new Reduction { Blocks = channels.InBlocks, LastChannels = channels.Ins - (channels.InBlocks - 1) * 16, Taps = 1, Offsets = &offset, BlockFloats = tiles * 16L };
        for (int point = 0; point < WinogradTiles.Points; point++, u += uStride, m += mStride, w += PointFloats(channels))
        {
            float* slice = w, to = m;
            for (int block = 0; block < channels.OutBlocks; block += Pair, slice += channels.SliceFloats(1), to += Pair * tiles * 16L)
                if (Pair > 1 && block + 1 < channels.OutBlocks) DenseRow<Size2>(&sum, u, slice, to, to + tiles * 16L, 16, tiles);
                else DenseRow<Size1>(&sum, u, slice, to, to, 16, tiles);
        }
    }

    /// Transforms all outputs of a part back into the map, which may end inside the last tiles.
    static void FromPoints(float* m, long stride, Tensor to, WinogradPart part, float* work)
    {
        const int side = WinogradTiles.Side;
        var s = to.Shape;
        int blocks = CpuLayout.Blocks(s.Channels);
        float* patch = work + PatchOffset;
        for (int block = 0; block < blocks; block++)
            for (int image = part.Image; image < part.Image + part.Images; image++)
                for (int row = part.Row; row < part.Row + part.Rows; row++, m += part.Columns * 16)
                {
                    float* y = Of(to) + (((long)image * blocks + block) * s.Height + row * side) * s.Width * 16;
                    int rows = Math.Min(side, s.Height - row * side), whole = rows == side ? s.Width / side : 0;
                    Transform2d<OutputTransform>(m, 6 * stride, stride, 16, y, s.Width * 16, 16, side * 16, whole, work);
                    for (int column = whole; column < part.Columns; column++)
                    {
                        Transform2d<OutputTransform>(m + column * 16, 6 * stride, stride, 0, patch, side * 16, 16, 0, 1, work);
                        for (int r = 0; r < rows; r++)
                            for (int c = column * side; c < Math.Min(s.Width, (column + 1) * side); c++)
                                V.Store(V.Load(patch + (r * side + c % side) * 16), y + ((long)r * s.Width + c) * 16);
                    }
                }
    }
}
