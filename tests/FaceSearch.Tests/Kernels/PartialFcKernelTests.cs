using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>The draw of classes, and a head that trains on those drawn.</summary>
public class PartialFcKernelTests
{
    static (int[] Drawn, int[] LocalLabels) Draw(int[] labels, int classes, int total, ulong seed, ulong step, int first = 0, Order order = Order.Forwards)
    {
        using Global<int> labelled = new(labels), drawn = new(total), local = new(labels.Length), slots = new(labels.Length), marks = new(new int[CudaKernels.PartialMarks(classes)]),
            counts = new(CudaKernels.PartialCounts(total));
        using Global<float> numbers = new(GpuNumbers.Count(0));
        GpuNumbers.Write(numbers.Values, new() { Step = step }, []);
        var args = new PartialFcArguments
        {
            Labels = labelled.Address, Drawn = drawn.Address, LocalLabels = local.Address, Slots = slots.Address, Marks = marks.Address, Counts = counts.Address,
            Numbers = numbers.Address, Seed = seed, First = first, Batch = labels.Length, Classes = classes, Total = total,
        };
        foreach (var launch in CudaKernels.PartialFc(args)) Emulator.Run(launch, args, order);
        return (drawn.Values.ToArray(), local.Values.ToArray());
    }

    static int[] Labels(int batch, int classes, int first = 0) =>
        [.. Enumerable.Range(0, batch).Select(b => b % 7 == 3 ? -1 : first + Noise.Below(classes, Bf16.Seed, 21, (ulong)(b / 2)))];

    [Theory, InlineData(1, 1, 1, 0), InlineData(5, 40, 8, 0), InlineData(30, 1000, 300, 0), InlineData(1500, 2000, 1700, 100), InlineData(64, 64, 64, 0), InlineData(16, 100_003, 1000, 50_000)]
    public void DrawsTheBatchsClassesAndOthersAtMostOnce(int batch, int classes, int total, int first)
    {
        int[] labels = Labels(batch, classes, first);
        if (batch > 2) (labels[0], labels[1]) = (first + classes, first - 1);   // another GPU's, or none
        var (drawn, local) = Draw(labels, classes, total, Bf16.Seed, 3, first);
        Assert.Equal(total, drawn.Distinct().Count());
        Assert.All(drawn, c => Assert.InRange(c, 0, classes - 1));
        for (int b = 0; b < batch; b++)
            if (labels[b] < 0 || labels[b] < first || labels[b] >= first + classes) Assert.Equal(-1, local[b]);
            else Assert.Equal(labels[b] - first, drawn[local[b]]);

        // The same as on a CPU, in the same order.
        int[] positives = [.. labels.Where(label => label >= 0 && label >= first && label < first + classes).Select(label => label - first).Distinct()];
        int[] others = [.. Enumerable.Range(0, total).Select(n => new ClassOrder(Bf16.Seed, 3, classes).At(n)).Except(positives)];
        Assert.Equal([.. positives, .. others.Take(total - positives.Length)], drawn);

        Assert.Equal(drawn, Draw(labels, classes, total, Bf16.Seed, 3, first, order: Order.Backwards).Drawn);
        if (total < classes / 2) Assert.NotEqual(drawn, Draw(labels, classes, total, Bf16.Seed, 4, first).Drawn);
    }

    /// 4000 draws of 10 of 50: each class is drawn 800 times, give or take 25; each pair of neighbours in 147 of them, give or take 12.
    [Fact]
    public void EveryClassHasItsChance()
    {
        int[] often = new int[50], pairs = new int[50];
        for (ulong step = 0; step < 4000; step++)
        {
            int[] drawn = [.. Enumerable.Range(0, 10).Select(n => new ClassOrder(5, step, 50).At(n))];
            foreach (int c in drawn)
            {
                often[c]++;
                if (drawn.Contains((c + 1) % 50)) pairs[c]++;
            }
        }
        Assert.All(often, n => Assert.InRange(n, 800 - 5 * 25, 800 + 5 * 25));
        Assert.All(pairs, n => Assert.InRange(n, 147 - 5 * 12, 147 + 5 * 12));
    }

    [Fact]
    public void OnlyDrawnCentresMove()
    {
        const int batch = 12, dimension = 40, classes = 300, total = 140;
        var margin = new Margin(24, 20, 1, 0.3f, 0);
        var rule = new SgdRule(0.5f, 0.9f, false, 0.01f);
        float[] centres = Bf16.Normal(classes * dimension, 1, 0.3), unit = [.. Bf16.Normal(batch * dimension, 0).Chunk(dimension).SelectMany(row => row.Select(x => Bf16.Rounded(x / MathF.Sqrt(row.Sum(v => v * v)))))];
        var (drawn, local) = Draw(Labels(batch, classes), classes, total, Bf16.Seed, 0);
        using Global<int> index = new(drawn);
        using Global<float> masters = new(centres), velocities = new(new float[centres.Length]);
        using Global<float> some = new([.. drawn.SelectMany(c => centres[(c * dimension)..((c + 1) * dimension)])]), someVelocities = new(new float[total * dimension]);
        using Head partial = new(batch, dimension, total, margin, local, Centres.Bf16, Order.Forwards), whole = new(batch, dimension, total, margin, local, Centres.Bf16, Order.Forwards);
        partial.Step(unit, masters, velocities, rule, 128, index.Address);
        whole.Step(unit, some, someVelocities, rule, 128);
        Assert.Equal(whole.Loss, partial.Loss);
        for (int c = 0; c < classes; c++)
        {
            int slot = Array.IndexOf(drawn, c), from = c * dimension;
            var expected = slot < 0 ? centres.AsSpan(from, dimension) : some.Values.Slice(slot * dimension, dimension);
            Assert.True(expected.SequenceEqual(masters.Values.Slice(from, dimension)), $"centre {c}, drawn at {slot}");
            Assert.Equal(slot < 0, !velocities.Values.Slice(from, dimension).ContainsAnyExcept(0f));
        }
    }
}
