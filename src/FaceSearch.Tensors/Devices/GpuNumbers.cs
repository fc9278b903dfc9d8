using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Where kernels find what changes from step to step: numbers, labels, and one part of the loss for each label that counts. In
/// memory, not among a kernel's arguments, so that the same launches do for the next step.
/// </summary>
static class GpuNumbers
{
    public const int Rate = 0, Keep = 1, Root = 2, M1 = 3, M2 = 4, M3 = 5, Step = 6;
    // Written by the device: what gradients are multiplied by, −1 where nothing may move; and the loss.
    public const int Factor = 8, Loss = 9;
    // Integers in the places of floats, then the share of each in the mean.
    public const int Labels = 10;

    public static int Count(int labels) => Labels + labels + 1;

    public static void Write(Span<float> to, in StepNumbers n, ReadOnlySpan<int> labels)
    {
        (to[Rate], to[Keep], to[Root], to[M1], to[M2], to[M3]) = (n.Rate, n.Keep, n.Root, n.Margin.M1, n.Margin.M2, n.Margin.M3);
        System.Runtime.InteropServices.MemoryMarshal.Cast<float, ulong>(to)[Step / 2] = n.Step;
        (to[Factor], to[Loss]) = (1, 0);
        System.Runtime.InteropServices.MemoryMarshal.Cast<int, float>(labels).CopyTo(to[Labels..]);
        int counted = 0;
        foreach (int label in labels)
            if (label >= 0) counted++;
        to[Labels + labels.Length] = 1f / Math.Max(1, counted);
    }

    public static ArrayView<ulong> Words(View numbers) => numbers.SubView(0, Labels).Cast<ulong>();
    public static ArrayView<int> LabelsOf(View numbers, int count) => numbers.SubView(Labels, count).Cast<int>();
    public static float ShareOf(View numbers, int labels) => numbers[Labels + labels];
}
