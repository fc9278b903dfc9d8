namespace FaceSearch.Tensors;

/// <summary>
/// Weights to the points and back, in tiles of one block of inputs and one slice of outputs. A tile's nine taps are turned into
/// vectors of sixteen outputs (or back) as a matrix, four by four in registers; one by one took a quarter of the time.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    const int VectorsAhead = 8;
    // The taps of a tile: [vector of outputs][input][tap][16].
    const int VectorFloats = 16 * 9 * 16;
    static int TapFloats => Pair * VectorFloats;

    readonly record struct WeightTile(WeightChannels Channels, int Block, int Input)
    {
        public static WeightTile Of(WeightChannels channels, int index) => new(channels, index / channels.InBlocks * Pair, index % channels.InBlocks * 16);

        public int Inputs => Math.Min(16, Channels.Ins - Input);
        public int Vectors => Math.Min(Pair, Channels.OutBlocks - Block);
        public int Count => Inputs * Vectors;

        /// The taps of a vector of outputs as plain rows, one an output: of all inputs, or where the weights are transposed of one.
        public MatrixSlice Taps(Tensor weight, float* taps, int vector, int input)
        {
            int output = (Block + vector) * 16, inputs = Channels.Transposed ? 1 : Inputs;
            var (outer, inner, row) = Channels.Transposed ? (Input + input, output, 9) : (output, Input + input, Channels.Inner * 9);
            return new((nint)(Cpu<V>.Of(weight) + ((long)outer * Channels.Inner + inner) * 9), row, (nint)(taps + vector * VectorFloats + input * 9 * 16), inputs * 9, Math.Min(16, Channels.Outs - output), 16);
        }

        /// The taps of vector i: as they are packed, all vectors of one input come before those of the next.
        public float* Vector(float* taps, int i) => taps + i % Vectors * VectorFloats + i / Vectors * 9 * 16;

        /// Where vector i stands at the first point. The one some turns later is asked for at all points, as they are far from
        /// one another: no prefetcher of a processor follows so many.
        public float* Point(Tensor packed, int points, int i)
        {
            float* at = Cpu<V>.Of(packed) + Block / Pair * Channels.SliceFloats(1) + ((long)Input * Vectors + i) * 16;
            long pointFloats = PointFloats(Channels);
            if (i + VectorsAhead < Count)
                for (int point = 0; point < points; point++) Lanes.Prefetch(at + point * pointFloats + VectorsAhead * 16, 1);
            return at;
        }
    }

    /// The weights of the tiles of such a map and step at their points.
    Tensor AtPoints(Tensor weight, WeightChannels channels, Shape map, int stride, WinogradTiles tiles)
    {
        var use = new Frozen.Use(weight, null, map.Height, map.Width, stride, channels.Transposed);
        if (Frozen?.Find(use) is { } kept) return kept;
        var packed = New(Shape.Of(tiles.WeightPoints, checked((int)PointFloats(channels))));
        PackWinograd(weight, packed, channels, tiles);
        Frozen?.Keep(use, packed);
        return packed;
    }

    /// <summary>Plain weights → [points][outputs/32 (AVX-512, else /16)][inputs][outputs of the slice]; transposed ones turn by half a circle.</summary>
    void PackWinograd(Tensor weight, Tensor packed, WeightChannels channels, WinogradTiles tiles) => workers.Run(channels.Slices * channels.InBlocks, (index, worker) =>
    {
        var tile = WeightTile.Of(channels, index);
        float* taps = Scratch(worker, TapFloats + TransformFloats, second: true);
        for (int vector = 0; vector < tile.Vectors; vector++)
            for (int input = 0; input < (channels.Transposed ? tile.Inputs : 1); input++) PackMatrix(tile.Taps(weight, taps, vector, input), transposed: false);
        TileSteps points = WeightPoints(channels, tiles), plain = channels.Transposed ? new(-3 * 16, -16) : new(3 * 16, 16);
        int first = channels.Transposed ? 8 * 16 : 0;
        for (int i = 0; i < tile.Count; i++) Transform<WeightTransform>(tiles.Weights, tile.Vector(taps, i) + first, plain, tile.Point(packed, tiles.WeightPoints, i), points, taps + TapFloats);
    });

    /// <summary>Gradients at the points, laid out as packed weights → plain weights.</summary>
    void UnpackWinograd(Tensor packed, Tensor weight, WeightChannels channels, WinogradTiles tiles) => workers.Run(channels.Slices * channels.InBlocks, (index, worker) =>
    {
        var tile = WeightTile.Of(channels, index);
        float* taps = Scratch(worker, TapFloats + TransformFloats, second: true);
        var points = WeightPoints(channels, tiles);
        for (int i = 0; i < tile.Count; i++) Transform<WeightGradientTransform>(tiles.Weights, tile.Point(packed, tiles.WeightPoints, i), points, tile.Vector(taps, i), new(3 * 16, 16), taps + TapFloats);
        for (int vector = 0; vector < tile.Vectors; vector++) UnpackMatrix(tile.Taps(weight, taps, vector, 0));
    });

    static TileSteps WeightPoints(WeightChannels channels, WinogradTiles tiles) => new(tiles.Width.WeightPoints * PointFloats(channels), PointFloats(channels));
}
