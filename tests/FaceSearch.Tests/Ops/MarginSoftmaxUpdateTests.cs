using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>The margin head that moves its centres in the backward pass.</summary>
public class MarginSoftmaxUpdateTests
{
    static readonly Margin Combined = new(16, 12, 1.1f, 0.3f, 0.2f);
    static readonly (bool Velocity, float Momentum, bool Nesterov)[] Rules = [(false, 0, false), (true, 0, false), (true, 0.9f, false), (true, 0.9f, true)];

    /// Two steps of the centres: centres, velocity (if any) and the embeddings' gradient after the second.
    static float[][] Steps(Device device, Shape[] shapes, (bool Velocity, float Momentum, bool Nesterov) rule, bool dense)
    {
        const float rate = 0.1f, weightDecay = 0.01f;
        Tensor x = device.Parameter("x", shapes[0]), centres = device.Parameter("centres", shapes[1]), velocity = device.Parameter("velocity", shapes[1], frozen: true);
        device.Write(x, Expect.Normal(shapes[0], 0));
        device.Write(centres, Expect.Normal(shapes[1], 1));
        float[] gradient = [];
        for (int step = 0; step < 2; step++)
        {
            using var tape = new Tape(device);
            var update = new CentreUpdate(rule.Velocity ? velocity : null, rate, rule.Momentum, rule.Nesterov, weightDecay);
            tape.Backward(tape.Input(shapes[0], new float[shapes[0].Count]).Add(x).MarginSoftmax(centres, MarginSoftmaxTests.Labels(shapes[0].Rows, shapes[1].Rows), Combined, recompute: true, dense ? null : update));
            Assert.Equal(dense, centres.Gradient is not null);
            if (dense) device.Sgd(centres, centres.Gradient!, velocity, rate, rule.Momentum, rule.Nesterov, weightDecay);
            gradient = x.Gradient!.ToArray();
            x.DropGradient();
            centres.DropGradient();
        }
        return [centres.ToArray(), rule.Velocity ? velocity.ToArray() : [0], gradient];
    }

    static readonly Shape[][] UpdateShapes = [.. new[] { (1, 7, 2), (17, 33, 65), (3, 64, 128), (20, 128, 600), (4, 40, 1100) }.Select(s => new[] { Shape.Of(s.Item1, s.Item2), Shape.Of(s.Item3, s.Item2) })];

    [Theory, EveryDevice]
    public void UpdatingIsTheGradientThenSgd(string instructionSet, int threads)
    {
        using var reference = new Reference();
        using var device = TestDevice.Open(instructionSet, threads);
        foreach (var shapes in UpdateShapes)
            foreach (var rule in Rules)
            {
                var expected = Steps(reference, shapes, rule, dense: true);
                // The reference to a float's last bit; a float's gradient as in MatchesReference, made larger by the second step.
                foreach (var (tested, bound) in new[] { ((Device)reference, 1e-7), (device, 4 * MarginSoftmaxTests.Slack(Combined) * Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(shapes[0].Cols))) })
                    foreach (var (e, a) in expected.Zip(Steps(tested, shapes, rule, dense: false)))
                        Expect.Close(e, a, bound, $"{rule} {shapes[0]} {shapes[1]} on {tested.Name}");
            }
    }

    [Theory]
    [InlineData("AVX-512"), InlineData("AVX2"), InlineData("portable")]
    public void ThreadsDoNotChangeABit(string instructionSet)
    {
        Assert.SkipUnless(Cpu.InstructionSets.First(s => s.Name == instructionSet).Supported, $"this machine has no {instructionSet}");
        Shape[] shapes = [Shape.Of(20, 48), Shape.Of(3000, 48)];
        var steps = new[] { 1, 3 }.Select(threads =>
        {
            using var device = TestDevice.Open(instructionSet, threads);
            return Steps(device, shapes, Rules[^1], dense: false);
        }).ToArray();
        for (int i = 0; i < 3; i++) Assert.Equal(steps[0][i], steps[1][i]);
    }

    [Fact]
    public void CentresMoveUnderFrozenEmbeddings()
    {
        using var device = Cpu.Create();
        Tensor x = device.Parameter("x", Shape.Of(3, 20), frozen: true), centres = device.Parameter("centres", Shape.Of(5, 20));
        device.Write(x, Expect.Normal(x.Shape, 0));
        device.Write(centres, Expect.Normal(centres.Shape, 1));
        float Step()
        {
            using var tape = new Tape(device);
            var loss = tape.Input(x.Shape, x.ToArray()).MarginSoftmax(centres, [0, 4, 2], Combined, update: new(null, 0.1f, 0, false, 0));
            float value = loss.Item();
            tape.Backward(loss);
            return value;
        }
        float first = Step();
        Assert.InRange(Step(), 0, 0.99f * first);
    }

    [Fact]
    public void NamesTheUpdateItRejects()
    {
        using var device = Cpu.Create();
        Tensor x = device.Parameter("x", Shape.Of(3, 4)), centres = device.Parameter("w", Shape.Of(5, 4));
        Assert.Equal("MarginSoftmax: an update with momentum 0.9 needs a velocity",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(centres, [0, 1, 2], Combined, update: new(null, 0.1f, 0.9f, false, 0))).Message);
        Assert.Equal("MarginSoftmax: an update is given for centres that are frozen",
            Assert.Throws<ShapeException>(() => x.MarginSoftmax(device.New(Shape.Of(5, 4)), [0, 1, 2], Combined, update: new(null, 0.1f, 0, false, 0))).Message);
    }
}
