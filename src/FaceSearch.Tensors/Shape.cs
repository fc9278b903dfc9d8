namespace FaceSearch.Tensors;

/// <summary>
/// The logical dimensions of a tensor, row-major. A <see cref="IsMap">map</see> is a batch of feature maps
/// [images, channels, height, width]; the device chooses how it lies in memory. Everything else is plain row-major.
/// </summary>
public sealed class Shape : IEquatable<Shape>
{
    readonly int[] dims;

    Shape(bool isMap, int[] dims)
    {
        if (dims.Length is 0 or > 4 || dims.Any(d => d < 1))
            throw new ShapeException($"a shape has 1 to 4 dimensions of at least 1, not [{string.Join(", ", dims)}]");
        (IsMap, this.dims) = (isMap, dims);
        Count = dims.Aggregate(1L, (product, d) => checked(product * d));
    }

    /// <summary>A vector, a matrix [rows, columns] or weights [out, in, height, width].</summary>
    public static Shape Of(params int[] dims) => new(false, dims);

    /// <summary>Feature maps [images, channels, height, width].</summary>
    public static Shape Map(int images, int channels, int height, int width) => new(true, [images, channels, height, width]);

    public bool IsMap { get; }
    /// <summary>Number of logical elements.</summary>
    public long Count { get; }
    public int Rank => dims.Length;
    public int this[int axis] => dims[axis];
    public int Rows => dims[0];
    /// <summary>Elements of one row: the product of all dimensions but the first.</summary>
    public int Cols => checked((int)(Count / dims[0]));
    public int Images => dims[0];
    public int Channels => dims[1];
    public int Height => dims[2];
    public int Width => dims[3];

    /// <summary>Most elements of a piece.</summary>
    public const int PieceLength = 1 << 22;

    /// <summary>Its elements piece by piece, as place and number: an array ends at 2³¹, and memory to copy through is dear.</summary>
    public IEnumerable<(long First, int Count)> Pieces()
    {
        for (long first = 0; first < Count; first += PieceLength) yield return (first, (int)Math.Min(PieceLength, Count - first));
    }

    public bool Equals(Shape? other) => other is not null && IsMap == other.IsMap && dims.AsSpan().SequenceEqual(other.dims);
    public override bool Equals(object? obj) => Equals(obj as Shape);
    public override int GetHashCode() => dims.Aggregate(IsMap ? 1 : 0, HashCode.Combine);
    public override string ToString() => $"{(IsMap ? "map " : "")}[{string.Join(", ", dims)}]";
}
