namespace FaceSearch.Tensors;

/// <summary>
/// dw = Gᵀ[Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)]G. Part by part, all threads first bring both maps to the points, block by block,
/// and then add matrix products [inputs × tiles]·[tiles × outputs], point by point and slice by slice of the outputs. Each sum runs over the
/// tiles in their order whatever the parts and threads are, and there is one copy of it: partial sums per thread would take
/// four times a wide layer's weights each (38 MB at 512 channels). Parts are twice those of the forward pass,
/// as every part reads and writes all sums.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    void WinogradWeight(Tensor x, Tensor dy, Tensor dweight)
    {
        var channels = new WeightChannels(dweight.Shape, 1, transposed: false);
        var tiles = WinogradTiles.Of(dy.Shape, 2 * TilesOfPart(channels), share: 1);
        long Ins(int count) => WinogradTiles.Points * PointFloats((long)channels.InBlocks * count);
        long Outs(int count) => WinogradTiles.Points * PointFloats((long)channels.OutBlocks * count);
        using var sums = New(Shape.Of(WinogradTiles.Points, checked((int)PointFloats(channels))));
        using var points = New(Shape.Of(checked((int)(Ins(tiles.PartTiles) + Outs(tiles.PartTiles)))));
        for (int index = 0; index < tiles.Parts; index++)
        {
            var part = tiles.Part(index);
            nint u = (nint)Of(points), v = (nint)(Of(points) + Ins(part.Tiles));
            bool isFirst = index == 0;
            workers.Run(channels.InBlocks + channels.OutBlocks, (block, worker) =>
            {
                if (block < channels.InBlocks) BlockToPoints<InputTransform>(x, part, block, WinogradFrame(part.Columns), (float*)u, worker);
                else BlockToPoints<GradientTransform>(dy, part, block - channels.InBlocks, GradientFrame(part.Columns), (float*)v, worker);
            });
            workers.Run(WinogradTiles.Points * channels.Slices, (tile, _) => AddPoint((float*)u, (float*)v, part.Tiles, channels, tile, isFirst, Of(sums)));
        }
        UnpackWinograd(sums, dweight, channels);
    }

    static Frame GradientFrame(int columns) => new(0, 0, 1, 1, 1, columns * WinogradTiles.Side);

    void BlockToPoints<T>(Tensor from, WinogradPart part, int block, Frame frame, float* to, int worker) where T : ITransform
    {
        var band = Band(from, part.Image, part.Images, block, 1, frame, part.FirstRow, part.Rows, worker);
        float* half = Scratch(worker, TransformFloats, second: true);
        ToPoints<T>(band, 0, part, to + (long)block * part.Tiles * 16, PointFloats((long)CpuLayout.Blocks(from.Shape.Channels) * part.Tiles), half);
    }

    /// Adds one point of one slice of outputs: sums[input][output] += Σ_tile u[input][tile] · v[output][tile].
    static void AddPoint(float* u, float* v, int tiles, WeightChannels channels, int tile, bool isFirst, float* sums)
    {
        int point = tile / channels.Slices, slice = tile % channels.Slices, block = slice * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
        float* x = u + point * PointFloats((long)channels.InBlocks * tiles), dy = v + point * PointFloats((long)channels.OutBlocks * tiles) + block * tiles * 16L;
        float* to = sums + point * PointFloats(channels) + slice * channels.SliceFloats(1);
        if (isFirst)
            for (long i = 0; i < (long)channels.Ins * width; i += 16) V.Store(V.Zero, to + i);
        var pixels = new Pixels(1, 1, tiles, 0, 0, 0, 0);
        for (int b = 0; b < channels.InBlocks; b++, x += tiles * 16L)
        {
            int inputs = Math.Min(16, channels.Ins - b * 16);
            if (width > 16) OuterBlock<Size2>(pixels, x, dy, dy + tiles * 16L, inputs, to);
            else OuterBlock<Size1>(pixels, x, dy, dy, inputs, to);
            to += inputs * width;
        }
    }
}
