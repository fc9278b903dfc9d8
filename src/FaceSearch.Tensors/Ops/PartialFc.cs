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
/// A step's pseudo-random order of the classes, which can be asked for one place at a time: six rounds of a Feistel network over the next
/// power of four, walked on until it falls on a class. So a draw needs no sort and costs what it draws. kernels/PartialFc.cu has the same.
/// </summary>
readonly struct ClassOrder
{
    const int Rounds = 6;

    // Of each round; worth keeping, as it is two thirds of the hash.
    readonly ulong key0, key1, key2, key3, key4, key5;
    // Bits of either half of a number.
    readonly int classes, half;

    public ClassOrder(ulong seed, ulong step, int classes)
    {
        ulong first = step * Rounds;
        (key0, key1, key2) = (Noise.Key(seed, first), Noise.Key(seed, first + 1), Noise.Key(seed, first + 2));
        (key3, key4, key5) = (Noise.Key(seed, first + 3), Noise.Key(seed, first + 4), Noise.Key(seed, first + 5));
        (this.classes, half) = (classes, 1);
        while (1L << 2 * half < classes) half++;
    }

    /// The class at place n, from 0 to classes − 1.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int At(int n)
    {
        ulong mask = (1UL << half) - 1, x = (ulong)n;
        do
        {
            ulong left = x >> half, right = x & mask;
            left ^= Noise.Bits(key0, right) & mask;
            right ^= Noise.Bits(key1, left) & mask;
            left ^= Noise.Bits(key2, right) & mask;
            right ^= Noise.Bits(key3, left) & mask;
            left ^= Noise.Bits(key4, right) & mask;
            right ^= Noise.Bits(key5, left) & mask;
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
