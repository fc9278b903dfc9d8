using CsCheck;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>What must hold of the margin head for any batch, on the fast device.</summary>
public class MarginSoftmaxProperties
{
    sealed record Case(int Batch, int Dimension, int Classes, Margin Margin, int Seed)
    {
        public Shape[] Shapes => [Shape.Of(Batch, Dimension), Shape.Of(Classes, Dimension)];
        public float[][] Values => [Expect.Normal(Shapes[0], 2 * Seed), Expect.Normal(Shapes[1], 2 * Seed + 1)];
        public int[] Labels => [.. Enumerable.Range(0, Batch).Select(b => Noise.Below(Classes, (ulong)Seed, 1, (ulong)b))];
    }

    static readonly Gen<Case> Cases =
        from batch in Gen.Int[1, 20]
        from dimension in Gen.Int[4, 40]
        from classes in Gen.Int[2, 150]
        from seed in Gen.Int[0, 1000]
        from scales in Gen.Select(Gen.Float[4, 32], Gen.Float[4, 32])
        from m1 in Gen.Float[0.9f, 1.5f]
        from m2 in Gen.Float[0, 0.5f]
        from m3 in Gen.Float[0, 0.4f]
        select new Case(batch, dimension, classes, new(scales.Item1, scales.Item2, m1, m2, m3), seed);

    /// Loss and gradients, with Expect.Run's seed gradient divided out.
    static (double Loss, float[] Embeddings, float[] Centres) Run(Device device, Case c, float[][] values, int[] labels, bool recompute = false)
    {
        var run = Expect.Run(device, x => x[0].MarginSoftmax(x[1], labels, c.Margin, recompute), c.Shapes, values);
        float seed = Expect.Normal(Shape.Of(1), 99)[0];
        return (run[0][0], [.. run[1].Select(g => g / seed)], [.. run[2].Select(g => g / seed)]);
    }

    [Fact]
    public void TheLossFollowsItsGradient()
    {
        using var device = Cpu.Create();
        Cases.Sample(c =>
        {
            var at = Run(device, c, c.Values, c.Labels);
            float[][] gradients = [at.Embeddings, at.Centres];
            // So short a step that no logit and no row turns by more than a few thousandths: the loss is straight along it.
            double squares = gradients.Sum(Squares), step = 1e-3 * at.Loss / squares;
            for (int k = 0; k < 2; k++)
                foreach (var (row, slope) in c.Values[k].Chunk(c.Dimension).Zip(gradients[k].Chunk(c.Dimension)))
                    step = Math.Min(step, 1e-3 * Math.Sqrt(Squares(row) / Math.Max(Squares(slope), 1e-30)));
            double Loss(double t) => Run(device, c, [.. c.Values.Zip(gradients, (v, g) => v.Zip(g, (a, b) => (float)(a + t * b)).ToArray())], c.Labels).Loss;
            double rise = (Loss(step) - Loss(-step)) / 2, expected = step * squares, rounding = 1e-5 * at.Loss;
            Assert.InRange(rise, 0.9 * expected - rounding, 1.1 * expected + rounding);
        }, iter: 50, threads: 1);
    }

    static double Squares(float[] values) => values.Sum(v => (double)v * v);

    [Fact]
    public void LengthsDoNotMatter()
    {
        using var device = Cpu.Create();
        Cases.Sample(c =>
        {
            // A power of two scales floats without rounding.
            var scaled = Run(device, c, [[.. c.Values[0].Select(v => 4 * v)], [.. c.Values[1].Select(v => v / 8)]], c.Labels);
            var plain = Run(device, c, c.Values, c.Labels);
            Assert.Equal(plain.Loss, scaled.Loss);
            Assert.Equal(plain.Embeddings, scaled.Embeddings.Select(g => 4 * g));
            Assert.Equal(plain.Centres, scaled.Centres.Select(g => g / 8));
        }, iter: 50, threads: 1);
    }

    [Fact]
    public void PermutedClassesHavePermutedGradients()
    {
        using var device = Cpu.Create();
        Cases.Sample(c =>
        {
            int[] order = Noise.Permutation(c.Classes, (ulong)c.Seed, 2);
            float[] Permute(float[] rows) => [.. order.SelectMany(old => rows.Skip(old * c.Dimension).Take(c.Dimension))];
            // Kept cosines would round apart where their floats differ in the last bit.
            var plain = Run(device, c, c.Values, c.Labels, recompute: true);
            var permuted = Run(device, c, [c.Values[0], Permute(c.Values[1])], [.. c.Labels.Select(label => Array.IndexOf(order, label))], recompute: true);
            // Only the order of the sums differs; a logit's rounding is the scale times a float's.
            double bound = 16 * Math.Max(c.Margin.TrueScale, c.Margin.FalseScale) * Math.Pow(2, -24);
            Assert.Equal(plain.Loss, permuted.Loss, bound * plain.Loss + 1e-12);
            Expect.Close(plain.Embeddings, permuted.Embeddings, bound, "gradient of the embeddings");
            Expect.Close(Permute(plain.Centres), permuted.Centres, bound, "gradient of the centres");
        }, iter: 50, threads: 1);
    }
}
