using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

public class ElementwiseTests
{
    static readonly (string Name, Op Op)[] Functions =
        [("relu", x => x[0].Relu()), ("sigmoid", x => x[0].Sigmoid()), ("swish", x => x[0].Swish())];

    [Theory, EveryDevice]
    public void MatchesReference(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var (_, op) in Functions)
            foreach (var shape in Ragged.Maps.Concat(Ragged.Matrices).Append(Shape.Of(7)))
                Expect.SameAsReference(device, op, [shape]);
    }

    [Fact]
    public void GradientIsRight()
    {
        foreach (var (_, op) in Functions) Expect.Gradient(op, [Shape.Map(2, 3, 2, 2)]);
    }

    [Theory, EveryDevice]
    public void KeepsThePaddingOfMapsZero(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        var shape = Shape.Map(2, 3, 5, 7);
        foreach (var (name, op) in Functions)
        {
            using var x = device.From(shape, Expect.Normal(shape, 0));
            using var y = op([x]);
            Assert.True(Padding.IsZero(y), name);
        }
    }

    [Theory, EveryDevice]
    public void HandlesTheEndsOfTheRange(string instructionSet, int threads)
    {
        using var device = TestDevice.Open(instructionSet, threads);
        using var x = device.From(Shape.Of(6), [-1e30f, -100, 0, 100, 1e30f, float.NaN]);
        using Tensor relu = x.Relu(), sigmoid = x.Sigmoid(), swish = x.Swish();
        Assert.Equal([0, 0, 0, 100, 1e30f, float.NaN], relu.ToArray());
        var s = sigmoid.ToArray();
        Assert.All(s[..2], v => Assert.InRange(v, 0, 1e-37f));
        Assert.Equal([0.5f, 1, 1, float.NaN], s[2..]);
        Assert.Equal([0, 100, 1e30f, float.NaN], swish.ToArray()[2..]);
    }
}
