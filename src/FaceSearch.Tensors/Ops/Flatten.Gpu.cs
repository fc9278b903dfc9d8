using ILGPU;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    internal override void Flatten(Tensor map, Tensor matrix)
    {
        var rows = new GpuRows(map.Shape);
        TransposeImages(new(Map(map), Map(matrix), rows.Area, rows.Columns, rows.Pitch, rows.Columns, rows.Area), rows.Area, rows.Columns, map.Shape.Images);
    }

    internal override void Unflatten(Tensor matrix, Tensor map) => Unflatten(Map(matrix), map);

    void Unflatten(MapView matrix, Tensor map)
    {
        var rows = new GpuRows(map.Shape);
        TransposeImages(new(matrix, Map(map), rows.Columns, rows.Area, rows.Area, rows.Area, rows.Pitch), rows.Pitch, rows.Area, map.Shape.Images);
    }

    /// Tiles over rows × columns of the source, and over what of the target has no source.
    void TransposeImages(Transpose transpose, int rows, int columns, int images)
    {
        const int side = Transpose.Side;
        if (images > MostParts) throw new DeviceException($"{Name}: {images} images at once are more than the {MostParts} that a grid holds");
        Launch(transpose, (columns + side - 1) / side, (rows + side - 1) / side, images);
    }
}

/// <summary>
/// to[image][column][row] = from[image][row][column] in tiles of 32×32 through shared memory, so that both sides are met in
/// runs of a warp. Target rows are `toPitch` elements apart; what of them lies past the source's rows gets zeros.
/// </summary>
readonly struct Transpose(MapView from, MapView to, int rows, int columns, int fromPitch, int toRows, int toPitch) : IKernel
{
    public const int Side = 32;
    const int Lines = Gpu.Threads / Side;

    public void Run()
    {
        // One float more than a tile's side, lest a column lie in one bank.
        var tile = SharedMemory.Allocate<float>(Side * (Side + 1));
        int lane = Group.IdxX % Side, line = Group.IdxX / Side, firstRow = Grid.IdxY * Side, firstColumn = Grid.IdxX * Side;
        long source = (long)Grid.IdxZ * rows * fromPitch, target = (long)Grid.IdxZ * toRows * toPitch;
        for (int r = line; r < Side; r += Lines)
        {
            int row = firstRow + r, column = firstColumn + lane;
            tile[r * (Side + 1) + lane] = row < rows && column < columns ? from[source + (long)row * fromPitch + column] : 0;
        }
        Group.Barrier();
        for (int c = line; c < Side; c += Lines)
        {
            int row = firstRow + lane, column = firstColumn + c;
            if (row < toPitch && column < toRows) to[target + (long)column * toPitch + row] = tile[lane * (Side + 1) + c];
        }
    }
}
