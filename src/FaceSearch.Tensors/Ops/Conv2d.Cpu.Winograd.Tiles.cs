namespace FaceSearch.Tensors;

/// <summary>What a convolution does to a side: stride 1 leaves it as it is, stride 2 halves it, and its gradient doubles it.</summary>
enum Sampling { Same, Down, Up }

/// <summary>
/// A map's height or width in long tiles, then in short ones of one output less: as few tiles as long ones allow, and of these as many short ones as
/// still cover it. With stride 1 they have five outputs and four, which cost seven points and six, so 14 = 5 + 5 + 4 costs 20 where four fours would cost 24; or
/// four and three, where no five is needed: 6 = 3 + 3 costs 10. With stride 2 they have four and three (of the smaller map: those of a gradient are pairs), which cost nine and seven.
/// </summary>
readonly record struct WinogradSide
{
    public readonly int Length;
    public readonly Sampling Sampling;
    /// All tiles, the long ones among them, and the outputs of such.
    public readonly int Tiles, Longs, Long;
    /// The points; those of short tiles, which come first; and those of weights, fewer where points share them.
    public readonly int Points, ShortPoints, WeightPoints;

    // Computed once, as each part asks for all of it at every point.
    public WinogradSide(int length, Sampling sampling = Sampling.Same)
    {
        (Length, Sampling) = (length, sampling);
        int withFives = (length + 4) / 5;
        bool hasFives = sampling == Sampling.Same && length > 4 * withFives;
        (Long, Tiles) = hasFives ? (5, withFives) : (4, (length + 3) / 4);
        Longs = Math.Max(0, length - (Long - 1) * Tiles);
        ShortPoints = sampling == Sampling.Same ? Long + 1 : 7;
        Points = Longs == 0 ? ShortPoints : sampling == Sampling.Same ? Long + 2 : 9;
        WeightPoints = sampling == Sampling.Same ? Points : Longs > 0 ? 6 : 5;
    }

    public bool HasFives => Long == 5;

    /// Products of all tiles.
    public int Products => Longs * Points + (Tiles - Longs) * ShortPoints;

    /// The points that use the same weights.
    public (int First, int Count) PointsOf(int weight) => Sampling == Sampling.Same || weight < 4 ? (weight, 1) : weight == 4 ? (4, Longs > 0 ? 4 : 3) : (8, 1);

    public TileKind LongKind => Sampling switch { Sampling.Same => HasFives ? TileKind.Five : TileKind.FourAlone, Sampling.Down => TileKind.DownFour, _ => TileKind.UpFour };
    public TileKind ShortKind => Sampling switch { Sampling.Same => HasFives ? TileKind.Four : TileKind.Three, Sampling.Down => TileKind.DownThree, _ => TileKind.UpThree };
    /// The transform of weights, which all tiles of the side share.
    public TileKind WeightKind => Sampling == Sampling.Up ? Longs > 0 ? TileKind.DownFour : TileKind.DownThree : Longs > 0 ? LongKind : ShortKind;

    /// The first output of a tile; past the last one, the first that no tile has.
    public int Start(int tile) => (Long - 1) * tile + Math.Min(tile, Longs);
    public int Covered => Start(Tiles);
}

/// <summary>
/// The tiles of a map, and the parts they are worked on in: bands of whole tile rows of one image, or near-equal groups of whole images.
/// </summary>
readonly record struct WinogradTiles(int Images, WinogradSide Height, WinogradSide Width, int Groups, int PartRows)
{
    public static int PointsOf(Shape map, Sampling sampling) => new WinogradSide(map.Height, sampling).Points * new WinogradSide(map.Width, sampling).Points;

    public static int WeightPointsOf(Shape map, Sampling sampling) => new WinogradSide(map.Height, sampling).WeightPoints * new WinogradSide(map.Width, sampling).WeightPoints;

    public int Points => Height.Points * Width.Points;
    public int WeightPoints => Height.WeightPoints * Width.WeightPoints;
    public WinogradForm Weights => WinogradForm.Single(Height.WeightKind, Width.WeightKind);

    /// <summary>Near-equal parts of about `partTiles`; whole images go in a multiple of `share` parts, so that as many threads end together.</summary>
    public static WinogradTiles Of(Shape map, Sampling sampling, int partTiles, int share)
    {
        WinogradSide height = new(map.Height, sampling), width = new(map.Width, sampling);
        int rows = height.Tiles, columns = width.Tiles;
        int Parts(double tiles) => Math.Max(1, (int)Math.Round(tiles / partTiles));
        int bands = Math.Min(rows, Parts(rows * columns));
        int groups = Math.Min(map.Images, bands > 1 ? map.Images : (Parts((double)map.Images * rows * columns) + share - 1) / share * share);
        return new(map.Images, height, width, groups, (rows + bands - 1) / bands);
    }

    int Bands => (Height.Tiles + PartRows - 1) / PartRows;
    public int Parts => Groups * Bands;
    /// Tiles of the largest part.
    public int PartTiles => (Images + Groups - 1) / Groups * PartRows * Width.Tiles;

    int FirstImage(int group) => (int)((long)Images * group / Groups);

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
        int image = FirstImage(index / Bands), row = index % Bands * PartRows;
        return new(image, FirstImage(index / Bands + 1) - image, row, Math.Min(PartRows, Height.Tiles - row), Height, Width);
    }
}

/// <summary>
/// Tile rows from TileRow on, of so many images from Image on. The tiles of one form come one after the other: 5×4 outputs, 5×5, 4×5,
/// 4×4 (with stride 2, 4×3 and so on). So whatever point is asked for, the tiles that have it are neighbours.
/// </summary>
readonly record struct WinogradPart(int Image, int Images, int TileRow, int TileRows, WinogradSide Height, WinogradSide Width)
{
    public const int Forms = 4, MostUses = 16;

    public int Tiles => Images * TileRows * Width.Tiles;
    public int Points => Height.Points * Width.Points;
    public int WeightPoints => Height.WeightPoints * Width.WeightPoints;
    public Sampling Sampling => Height.Sampling;
    /// How many rows of the map that is read, and of the one that is written, an output row of a tile stands for.
    public int RowsRead => Sampling == Sampling.Down ? 2 : 1;
    public int RowsWritten => Sampling == Sampling.Up ? 2 : 1;
    public int FirstRow => Height.Start(TileRow);
    /// Output rows of the tiles, with those past the map's end.
    public int Rows => Height.Start(TileRow + TileRows) - FirstRow;

    /// Rows of long tiles.
    int LongRows => Math.Clamp(Height.Longs - TileRow, 0, TileRows);

    public WinogradForm Form(int index)
    {
        bool tall = index < 2, wide = index is 1 or 2;
        int longs = LongRows;
        var (vertical, horizontal) = (tall ? Height.LongKind : Height.ShortKind, wide ? Width.LongKind : Width.ShortKind);
        return new(vertical, horizontal, TilesBefore(index), Images, tall ? longs : TileRows - longs, wide ? Width.Longs : Width.Tiles - Width.Longs,
            tall ? 0 : Height.Long * longs, wide ? 0 : Width.Long * Width.Longs, tall ? Height.Long : Height.Long - 1, wide ? Width.Long : Width.Long - 1);
    }

    int TilesBefore(int form)
    {
        int longs = LongRows;
        return Images * form switch
        {
            0 => 0,
            1 => longs * (Width.Tiles - Width.Longs),
            2 => longs * Width.Tiles,
            3 => longs * Width.Tiles + (TileRows - longs) * Width.Longs,
            _ => TileRows * Width.Tiles,
        };
    }

    /// The points that use the weights of one, and their tiles: at most `MostUses`. Short tiles beside long ones lack the last points.
    public unsafe int UsesOf(int weight, PointTiles* uses)
    {
        var (row, rows) = Height.PointsOf(weight / Width.WeightPoints);
        var (column, columns) = Width.PointsOf(weight % Width.WeightPoints);
        int count = 0;
        for (int r = row; r < row + rows; r++)
            for (int c = column; c < column + columns; c++)
            {
                bool tall = r >= Height.ShortPoints, wide = c >= Width.ShortPoints;
                int first = TilesBefore(wide ? 1 : 0), end = TilesBefore(tall ? 2 : wide ? 3 : 4);
                uses[count++] = new(r * Width.Points + c, first, end - first);
            }
        return count;
    }
}

/// <summary>A point, and the tiles of a part that have it.</summary>
readonly record struct PointTiles(int Point, int First, int Count);

/// <summary>The tiles of one form in a part, from number First on, image by image and row by row, of Height×Width outputs (or pairs); the first one has its first output at (Top, Left).</summary>
readonly record struct WinogradForm(TileKind Vertical, TileKind Horizontal, int First, int Images, int Rows, int Columns, int Top, int Left, int Height, int Width)
{
    public static WinogradForm Single(TileKind vertical, TileKind horizontal) => new(vertical, horizontal, 0, 1, 1, 1, 0, 0, 0, 0);

    public int Tiles => Images * Rows * Columns;
}

/// <summary>Rows of a map that will be read or written soon: asked for by and by while products leave memory at rest.</summary>
readonly unsafe record struct RowsAhead(nint First, long PlaneFloats, int Planes, int Vectors)
{
    /// The rows of all channels of a part, `scale` a row of its outputs; none where there is no part.
    public static RowsAhead Of(float* map, Shape s, WinogradPart? part, int scale)
    {
        if (part is not { } rows) return default;
        int blocks = CpuLayout.Blocks(s.Channels);
        long plane = (long)s.Height * s.Width * 16;
        return new((nint)(map + rows.Image * blocks * plane + (long)scale * rows.FirstRow * s.Width * 16), plane, rows.Images * blocks, Math.Min(scale * rows.Rows, s.Height - scale * rows.FirstRow) * s.Width);
    }

    /// The share of one of so many points.
    public void Ask(int point, int points)
    {
        int begin = Vectors * point / points, end = Vectors * (point + 1) / points;
        for (int p = 0; p < Planes; p++) Lanes.Prefetch((float*)First + p * PlaneFloats + begin * 16, end - begin);
    }
}
