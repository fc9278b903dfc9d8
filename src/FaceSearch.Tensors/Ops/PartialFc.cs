using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Partial FC (An et al. 2021, 2022): a step's softmax goes over the classes of its batch and others drawn at random, together the share
/// <paramref name="Rate"/> (the sample rate) of all, and never fewer than a batch may have. Which ones is a pure function of seed and
/// step, the same on every device: first the batch's classes in the order of their first rows, then the others in the order of a
/// <see cref="ClassOrder"/>, each class once.
/// </summary>
public readonly record struct PartialFc(double Rate, ulong Seed, ulong Step)
{
    /// <summary>How many of the classes take part; all of them: nothing is drawn.</summary>
    public int CountOf(int classes, int batch) => Math.Min(classes, Math.Max(batch, (int)Math.Ceiling(Rate * classes)));
}

/// <summary>What was drawn for a step, integers in the places of floats: the classes [count], and of each row its class's place among them, or −1 [batch].</summary>
readonly record struct Drawn(Tensor Classes, Tensor Labels)
{
    public int Count => Classes.Shape.Rows;
}

/// <summary>
/// A pseudo-random order of the classes that can be asked for one place at a time: six rounds of a Feistel network over the next power of
/// four, walked on until it falls on a class. So a draw needs no sort and costs what it draws. kernels/PartialFc.cu has the same.
/// </summary>
readonly struct ClassOrder
{
    const int Rounds = 6;

    readonly ulong seed;
    // Bits of either half of a number.
    readonly int classes, half;

    public ClassOrder(ulong seed, int classes)
    {
        (this.seed, this.classes, half) = (seed, classes, 1);
        while (1L << 2 * half < classes) half++;
    }

    /// The class at place n, from 0 to classes − 1, in the order of that step.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int At(int n, ulong step)
    {
        ulong mask = (1UL << half) - 1, x = (ulong)n;
        do
        {
            ulong left = x >> half, right = x & mask;
            for (int r = 0; r < Rounds; r++)
            {
                ulong next = left ^ (Noise.Bits(seed, step * Rounds + (ulong)r, right) & mask);
                left = right;
                right = next;
            }
            x = left << half | right;
        }
        while (x >= (ulong)classes);
        return (int)x;
    }
}

public abstract partial class Device
{
    /// Draws from so many classes; labels as <see cref="MarginSoftmax"/> has them. The step is the exchange's where there is one.
    internal abstract void PartialFc(int[] labels, int classes, PartialFc partial, StepExchange? exchange, Drawn drawn);

    /// The batch's classes in the order of their first rows; tells each row's place among them, −1 without a class.
    private protected static int[] BatchClasses(int[] labels, Span<int> places)
    {
        var placeOf = new Dictionary<int, int>(labels.Length);
        var classes = new List<int>(labels.Length);
        for (int b = 0; b < labels.Length; b++)
        {
            places[b] = -1;
            if (labels[b] < 0) continue;
            if (placeOf.TryAdd(labels[b], classes.Count)) classes.Add(labels[b]);
            places[b] = placeOf[labels[b]];
        }
        return [.. classes];
    }
}

public sealed partial class Meter
{
    internal override void PartialFc(int[] labels, int classes, PartialFc partial, StepExchange? exchange, Drawn drawn)
    {
        using var places = New(drawn.Classes.Shape);
    }
}
