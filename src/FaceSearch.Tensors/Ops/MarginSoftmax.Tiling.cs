namespace FaceSearch.Tensors;

/// <summary>
/// How the head is cut. Classes go in tiles, whose logits exist only in a worker's scratch memory, and tiles in groups,
/// each of which leaves one partial result; neither depends on the number of threads. Batch and dimension are padded to
/// the widest strip, so that memory is the same for every instruction set.
/// </summary>
readonly record struct MarginTiling(int Batch, int Dimension, int Classes)
{
    /// A tile's centres and logits stay in a core's second-level cache.
    public const int TileClasses = 64;
    /// Terms of a logit summed at a time: a strip of so many rows comes from the second-level cache as fast as it is used.
    public const int Depth = 512;
    /// The most memory for cosines kept from the forward pass; those of further classes are computed again in the backward pass.
    public const long MostKeptBytes = 128L << 20;
    // Groups share the work between threads and each costs B·d floats for its part of the embeddings' gradient.
    const int LeastTilesPerGroup = 8, MostGroups = 32;

    public static MarginTiling Of(Tensor unit, int classes) => new(unit.Shape.Rows, unit.Shape.Cols, classes);

    public int Tiles => (Classes + TileClasses - 1) / TileClasses;
    public int Groups => Math.Clamp(Tiles / LeastTilesPerGroup, 1, MostGroups);
    public int PaddedBatch => (Batch + 31) / 32 * 32;
    public int PaddedDimension => (Dimension + 31) / 32 * 32;
    /// Sixteen floats more than the batch, lest a column of logits fall into few sets of the cache.
    public int LogitStride => PaddedBatch + 16;
    public long LogitFloats => (long)TileClasses * LogitStride;
    public long CentreFloats => (long)TileClasses * PaddedDimension;
    public long ProductFloats => 8L * PaddedDimension;
    /// Logits, the products of a few classes, and a copy of a ragged tile's.
    public long ScratchFloats => LogitFloats + ProductFloats + CentreFloats;

    public Shape Strips => Shape.Of(PaddedDimension, PaddedBatch);
    public Shape LogSums => Shape.Of(Groups, 2, PaddedBatch);
    public Shape RowGradients => Shape.Of(3, PaddedBatch);
    public long PartialFloats => (long)PaddedDimension * PaddedBatch;
    /// The part of a group: the embeddings' gradient, transposed.
    public unsafe float* PartialOf(float* partials, int group) => partials + group * PartialFloats;
    public Shape Partials => Shape.Of(Groups, PaddedDimension, PaddedBatch);
    /// Of so many tiles, the first ones, the cosines are kept.
    public int KeptTiles => (int)Math.Min(Tiles, MostKeptBytes / (2L * TileClasses * PaddedBatch));
    /// Two 16-bit cosines in the place of a float.
    public Shape Kept => Shape.Of(Math.Min(Classes, KeptTiles * TileClasses), PaddedBatch / 2);
    public int FirstTile(int group) => (int)((long)group * Tiles / Groups);
}
