namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    void WinogradWeight(Tensor x, Tensor dy, Tensor dweight)
    {
        var channels = new WeightChannels(dweight.Shape, 1, transposed: false);
        using var sums = New(Shape.Of(WinogradTiles.Points, checked((int)PointFloats(channels))));
        int blocks = channels.InBlocks + channels.OutBlocks;
        var tiles = WinogradTiles.Of(dy.Shape, Math.Max(TuneMin, TuneWeight / (WinogradTiles.Points * 16 * blocks)));
        using var points = New(Shape.Of(checked((int)(WinogradTiles.Points * (PointStride(channels.InBlocks, tiles.PartTiles) + PointStride(channels.OutBlocks, tiles.PartTiles))))));
        for (int index = 0; index < tiles.Parts; index++)
        {
            var part = tiles.Part(index);
            int count = part.Tiles;
            bool first = index == 0;
            long ins = PointStride(channels.InBlocks, count), outs = PointStride(channels.OutBlocks, count);
            workers.Run(blocks, (block, worker) =>
            {
                if (block < channels.InBlocks) PartToPoints<InputTransform>(x, part, block, InputFrame(part.Columns), Of(points), ins, worker);
                else PartToPoints<GradientTransform>(dy, part, block - channels.InBlocks, GradientFrame(part.Columns), Of(points) + WinogradTiles.Points * ins, outs, worker);
            });
            workers.Run(WinogradTiles.Points * channels.Slices, (tile, _) =>
            {
                int point = tile / channels.Slices, slice = tile % channels.Slices;
                AddPoint(Of(points) + point * ins, Of(points) + WinogradTiles.Points * ins + point * outs, count, channels, slice, first, Of(sums) + point * PointFloats(channels));
            });
        }
        UnpackWinograd(sums, dweight, channels);
    }

    static Frame InputFrame(int columns) => new(-1, -1, 3, 3, 1, columns * WinogradTiles.Side);
    static Frame GradientFrame(int columns) => new(0, 0, 1, 1, 1, columns * WinogradTiles.Side);

    void PartToPoints<T>(Tensor from, WinogradPart part, int block, Frame frame, float* to, long stride, int worker) where T : ITransform
    {
        var band = Band(from, part.Image, part.Images, block, 1, frame, part.Row * WinogradTiles.Side, part.Rows * WinogradTiles.Side, worker);
        ToPoints<T>(band, 0, part, to + (long)block * part.Tiles * 16, stride, Scratch(worker, TransformFloats, second: true));
    }

    /// Adds one point and slice of outputs: sums[inputs][outputs] += Σ_tile u[inputs][tile] · v[outputs][tile].
    static void AddPoint(float* u, float* v, int tiles, WeightChannels channels, int slice, bool first, float* sums)
    {
        int block = slice * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
        float* to = sums + slice * channels.SliceFloats(1), dy = v + block * tiles * 16L;
        if (first)
            for (long i = 0; i < (long)channels.Ins * width; i += 16) V.Store(V.Zero, to + i);
        var pixels = new Pixels(1, 1, tiles, 0, 0, 0, 0);
        for (int b = 0; b < channels.InBlocks; b++, u += tiles * 16L)
        {
            int inputs = Math.Min(16, channels.Ins - b * 16);
            if (width > 16) OuterBlock<Size2>(pixels, u, dy, dy + tiles * 16L, inputs, to);
            else OuterBlock<Size1>(pixels, u, dy, dy, inputs, to);
            to += inputs * width;
        }
    }
}
