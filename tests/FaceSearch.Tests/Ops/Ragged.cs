using FaceSearch.Tensors;

namespace FaceSearch.Tests.Ops;

/// <summary>Sizes that do not fit: one below, at and above whole vectors, single pixels, batches that do not divide.</summary>
static class Ragged
{
    public static readonly Shape[] Maps =
    [
        Shape.Map(1, 1, 1, 1), Shape.Map(5, 3, 1, 1), Shape.Map(2, 16, 1, 1), Shape.Map(2, 17, 5, 7), Shape.Map(1, 33, 7, 7),
        Shape.Map(5, 40, 14, 14), Shape.Map(2, 3, 13, 29), Shape.Map(1, 16, 72, 72),
    ];

    public static readonly Shape[] Matrices = [Shape.Of(2, 1), Shape.Of(3, 17), Shape.Of(33, 31), Shape.Of(64, 512), Shape.Of(5000, 33)];

    /// <summary>What has more than one value per channel, as batch statistics need.</summary>
    public static IEnumerable<Shape> Batches => Maps.Concat(Matrices).Where(s => s.Count > s.Channels);

    public static int PerChannel(Shape s) => (int)(s.Count / s.Channels);
}
