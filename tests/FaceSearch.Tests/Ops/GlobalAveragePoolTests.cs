using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class GlobalAveragePoolTests
{
    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shape in Ragged.Maps) Expect.SameAsReference(device, x => x[0].GlobalAveragePool(), [shape], terms: shape.Height * shape.Width);
    }

    [Fact]
    public void GradientIsRight() => Expect.Gradient(x => x[0].GlobalAveragePool(), [Shape.Map(2, 3, 2, 3)]);
}
