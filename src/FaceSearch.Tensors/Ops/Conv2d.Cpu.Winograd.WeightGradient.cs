namespace FaceSearch.Tensors;

/// <summary>
/// dw = Gᵀ[Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)]G. Part by part, both maps are brought to the points, block by block, and then
/// products [inputs × tiles]·[tiles × outputs] are added, point by point and slice by slice of the outputs. Parts are
/// twice those of the forward pass, as each reads and writes all sums; in wide layers as large as leaves one point of theirs in the L2 cache (256 channels 14²,
/// batch 32: one part instead of four, 6 % less time of all three passes with two threads), but not in layers between, which would gain nothing.
///
/// Threads: in narrow layers each has its parts and a partial sum for itself, and nobody waits. In wide layers, where a
/// partial sum outgrows the maps (38 MB at 512 channels 7²), all threads share one part after the other, first its blocks, then
/// its points. Narrow layers lose by sharing, as a part of theirs lasts 20 µs; eight partial sums instead of four cost 64 channels 12²
/// another tenth. Layers between have two partial sums: two cores with an L3 cache each share nothing but those (Zen 4, 16×128 28²: 6.8 ms
/// instead of 9.3; on one cache 5.9 and 5.8), and more threads share. At 256 channels 14² two sums lose, 6.9 instead of 6.1 on one cache, 8.3 instead of 8.0 on two.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    // Tiles summed in registers before they are added to what is in memory: short sums err less, and dy stays in the first-level cache.
    const int MostTerms = 96;
    // Partial sums of narrow layers, the most floats that they may take, and those of two.
    const int NarrowPartials = 4;
    const long NarrowFloats = 1 << 20, MiddleFloats = 1 << 21;

    /// The loop over the tiles of a part: on all threads, or on the one that has the part for itself.
    delegate void Loop(int tiles, Workers.Tile tile);

    void WinogradWeight(Tensor x, Tensor dy, Tensor dweight, int stride)
    {
        var channels = new WeightChannels(dweight.Shape, 1, transposed: false);
        var sampling = stride == 1 ? Sampling.Same : Sampling.Down;
        long sumFloats = WinogradTiles.WeightPointsOf(dy.Shape, sampling) * PointFloats(channels);
        int most = NarrowPartials * sumFloats <= NarrowFloats ? NarrowPartials : 2 * sumFloats <= MiddleFloats ? 2 : 1;
        int partTiles = TilesOfPart(channels, dy.Shape, sampling) * (most == 2 ? 1 : 2);
        if (most == 1) partTiles = Math.Max(partTiles, PartFloats / (16 * (channels.InBlocks + channels.OutBlocks)));
        var tiles = WinogradTiles.Of(dy.Shape, sampling, partTiles, share: most);
        int partials = Math.Min(most, tiles.Parts);
        long pointFloats = tiles.Points * (PointFloats((long)channels.InBlocks * tiles.PartTiles) + PointFloats((long)channels.OutBlocks * tiles.PartTiles));
        using var sums = New(Shape.Of(partials, checked((int)sumFloats)));
        bool shares = most < NarrowPartials && workers.Count > partials;
        using var points = New(Shape.Of(shares ? 1 : workers.Count, checked((int)pointFloats)));
        void AddParts(int partial, int area, Loop loop)
        {
            int first = tiles.Parts * partial / partials, end = tiles.Parts * (partial + 1) / partials;
            for (int part = first; part < end; part++)
                AddPart(x, dy, tiles.Part(part), part + 1 < end ? tiles.Part(part + 1) : null, channels, Of(points) + area * pointFloats, Of(sums) + partial * sumFloats, part == first, loop);
        }
        for (int partial = 0; shares && partial < partials; partial++) AddParts(partial, 0, workers.Run);
        if (!shares)
            workers.Run(partials, (partial, worker) => AddParts(partial, worker, (count, act) =>
            {
                for (int i = 0; i < count; i++) act(i, worker);
            }));
        AddPartials(Of(sums), partials, sumFloats);
        UnpackWinograd(sums, dweight, channels, tiles);
    }

    void AddPart(Tensor x, Tensor dy, WinogradPart part, WinogradPart? next, WeightChannels channels, float* points, float* sums, bool isFirst, Loop loop)
    {
        nint u = (nint)points, v = (nint)(points + part.Points * PointFloats((long)channels.InBlocks * part.Tiles));
        loop(channels.InBlocks + channels.OutBlocks, (block, worker) =>
        {
            int output = block - channels.InBlocks;
            if (output < 0) BlockToPoints<InputTransform>(WinogradBand(x, part, block, worker), part, part.RowsRead, block, channels.InBlocks, (float*)u, worker);
            else BlockToPoints<GradientTransform>(GradientBand(dy, part, output, worker), part, 1, output, channels.OutBlocks, (float*)v, worker);
        });
        RowsAhead nextX = RowsAhead.Of(Of(x.Deferred?.Source ?? x), x.Shape, next, part.RowsRead), nextDy = RowsAhead.Of(Of(dy), dy.Shape, next, 1);
        loop(part.WeightPoints * channels.Slices, (tile, _) =>
        {
            int weight = tile / channels.Slices, slice = tile % channels.Slices;
            if (slice == 0) nextX.Ask(weight, part.WeightPoints);
            if (slice == channels.Slices - 1) nextDy.Ask(weight, part.WeightPoints);
            AddPoint((float*)u, (float*)v, part, channels, weight, slice, isFirst, sums);
        });
    }

    InputBand GradientBand(Tensor dy, WinogradPart part, int block, int worker) =>
        Band(dy, part.Image, part.Images, block, 1, new Frame(0, 0, 1, 1, 1, part.Width.Covered), part.FirstRow, part.Rows, worker);

    void BlockToPoints<T>(InputBand band, WinogradPart part, int scale, int block, int blocks, float* to, int worker) where T : ITransform =>
        ToPoints<T>(band, part, scale, to + (long)block * part.Tiles * 16, PointFloats((long)blocks * part.Tiles), Scratch(worker, TransformFloats, second: true));

    /// Adds one point of one slice of outputs: sums[input][output] += Σ_tile u[input][tile] · v[output][tile], over all uses of its weights.
    static void AddPoint(float* u, float* v, WinogradPart part, WeightChannels channels, int weight, int slice, bool isFirst, float* sums)
    {
        int block = slice * Pair, width = Math.Min(Pair, channels.OutBlocks - block) * 16;
        PointTiles* points = stackalloc PointTiles[WinogradPart.MostUses];
        int uses = part.UsesOf(weight, points);
        long blockFloats = part.Tiles * 16L, uFloats = PointFloats((long)channels.InBlocks * part.Tiles), vFloats = PointFloats((long)channels.OutBlocks * part.Tiles);
        float* to = sums + weight * PointFloats(channels) + slice * channels.SliceFloats(1);
        for (long i = 0, n = isFirst ? (long)channels.Ins * width : 0; i < n; i += 16) V.Store(V.Zero, to + i);
        for (int use = 0; use < uses; use++)
        {
            var (point, tile, tiles) = points[use];
            for (int sum = (tiles + MostTerms - 1) / MostTerms; sum > 0; sum--)
            {
                int count = tiles / sum;
                float* x = u + point * uFloats + tile * 16, dy = v + point * vFloats + block * blockFloats + tile * 16, dw = to;
                for (int b = 0; b < channels.InBlocks; b++, x += blockFloats)
                {
                    // Of the next point, which another thread may have written: this slice of dy, then this slice's share of x.
                    int inputs = Math.Min(16, channels.Ins - b * 16), turn = b - width / 16, share = slice + turn * channels.Slices;
                    float* later = turn < 0 ? dy + vFloats + b * blockFloats : x + uFloats + (share - b) * blockFloats;
                    var pixels = new Pixels(1, 1, count, 0, 0, 0, 0, NextAhead: use > 0 || share >= channels.InBlocks ? 0 : later - dy);
                    if (width > 16) OuterBlock<Size2>(pixels, x, dy, dy + blockFloats, inputs, dw);
                    else OuterBlock<Size1>(pixels, x, dy, dy, inputs, dw);
                    dw += inputs * width;
                }
                tile += count;
                tiles -= count;
            }
        }
    }
}
