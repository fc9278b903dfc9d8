namespace FaceSearch.Tensors;

/// <summary>
/// A map's height or width in tiles of five outputs, then of four: as few tiles as fives allow, and of these as many fours as still
/// cover it. A five costs seven points and a four six, so 14 = 5 + 5 + 4 costs 20 where four fours would cost 24.
/// </summary>
readonly record struct WinogradSide(int Length)
{
    public int Tiles => (Length + 4) / 5;
    public int Fives => Math.Max(0, Length - 4 * Tiles);
    public int Points => Fives > 0 ? 7 : 6;

    /// The transform of weights, which all tiles of the side share; and that of the tiles with four outputs.
    public TileKind Weights => Fives > 0 ? TileKind.Five : TileKind.FourAlone;
    public TileKind Fours => Fives > 0 ? TileKind.Four : TileKind.FourAlone;

    /// The first output of a tile; past the last one, the first that no tile has.
    public int Start(int tile) => 4 * tile + Math.Min(tile, Fives);
    public int Covered => Start(Tiles);
}

/// <summary>
/// The tiles of a map, and the parts they are worked on in: bands of whole tile rows of one image, or several whole images.
/// </summary>
readonly record struct WinogradTiles(int Images, WinogradSide Height, WinogradSide Width, int PartImages, int PartRows)
{
    public static int PointsOf(Shape map) => new WinogradSide(map.Height).Points * new WinogradSide(map.Width).Points;

    public int Points => Height.Points * Width.Points;
    public WinogradForm Weights => WinogradForm.Single(Height.Weights, Width.Weights);

    /// <summary>Near-equal parts of about `partTiles`; whole images go in a multiple of `share` parts, so that as many threads end together.</summary>
    public static WinogradTiles Of(Shape map, int partTiles, int share)
    {
        WinogradSide height = new(map.Height), width = new(map.Width);
        int rows = height.Tiles, columns = width.Tiles;
        int Parts(double tiles) => Math.Max(1, (int)Math.Round(tiles / partTiles));
        int bands = Math.Min(rows, Parts(rows * columns));
        int groups = Math.Min(map.Images, bands > 1 ? map.Images : (Parts((double)map.Images * rows * columns) + share - 1) / share * share);
        return new(map.Images, height, width, (map.Images + groups - 1) / groups, (rows + bands - 1) / bands);
    }

    int Bands => (Height.Tiles + PartRows - 1) / PartRows;
    public int Parts => (Images + PartImages - 1) / PartImages * Bands;
    /// Tiles of the largest part.
    public int PartTiles => PartImages * PartRows * Width.Tiles;

    /// The first output row of each band.
    public int[] BandRows
    {
        get
        {
            var (height, rows) = (Height, PartRows);
            return [.. Enumerable.Range(0, Bands).Select(band => height.Start(band * rows))];
        }
    }

    public WinogradPart Part(int index)
    {
        int image = index / Bands * PartImages, row = index % Bands * PartRows;
        return new(image, Math.Min(PartImages, Images - image), row, Math.Min(PartRows, Height.Tiles - row), Height, Width);
    }
}

/// <summary>
/// Tile rows from TileRow on, of so many images from Image on. The tiles of one form come one after the other: 5×4 outputs, 5×5, 4×5,
/// 4×4. So whatever point is asked for, the tiles that have it are neighbours.
/// </summary>
readonly record struct WinogradPart(int Image, int Images, int TileRow, int TileRows, WinogradSide Height, WinogradSide Width)
{
    public const int Forms = 4;

    public int Tiles => Images * TileRows * Width.Tiles;
    public int Points => Height.Points * Width.Points;
    public int FirstRow => Height.Start(TileRow);
    /// Output rows of the tiles, with those past the map's end.
    public int Rows => Height.Start(TileRow + TileRows) - FirstRow;

    public WinogradForm Form(int index)
    {
        bool tall = index < 2, wide = index is 1 or 2;
        int fives = Math.Clamp(Height.Fives - TileRow, 0, TileRows), fours = TileRows - fives, narrow = Width.Tiles - Width.Fives;
        int before = tall ? index * fives * narrow : fives * Width.Tiles + (index - 2) * fours * Width.Fives;
        return new(tall ? TileKind.Five : Height.Fours, wide ? TileKind.Five : Width.Fours, Images * before, Images, tall ? fives : fours, wide ? Width.Fives : narrow, tall ? 0 : 5 * fives, wide ? 0 : 5 * Width.Fives);
    }

    /// The tiles that have a point. Fours beside fives lack the point 0, which comes last.
    public (int First, int Count) TilesAt(int point)
    {
        bool tall = point / Width.Points == 6, wide = point % Width.Points == 6;
        WinogradForm first = Form(wide ? 1 : 0), last = Form(tall ? 1 : wide ? 2 : 3);
        return (first.First, last.First + last.Tiles - first.First);
    }
}

/// <summary>The tiles of one form in a part, from number First on, image by image and row by row; the first one has its first output at (Top, Left).</summary>
readonly record struct WinogradForm(TileKind Vertical, TileKind Horizontal, int First, int Images, int Rows, int Columns, int Top, int Left)
{
    public static WinogradForm Single(TileKind vertical, TileKind horizontal) => new(vertical, horizontal, 0, 1, 1, 1, 0, 0);

    public int Height => Vertical == TileKind.Five ? 5 : 4;
    public int Width => Horizontal == TileKind.Five ? 5 : 4;
    public int Tiles => Images * Rows * Columns;
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

    /// The share of one of so many points.
    public void Ask(int point, int points)
    {
        int begin = Vectors * point / points, end = Vectors * (point + 1) / points;
        for (int p = 0; p < Planes; p++) Lanes.Prefetch((float*)First + p * PlaneFloats + begin * 16, end - begin);
    }
}
