using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// One group puts the batch's classes first; then groups of 256 places of the order count those of other classes, and write them behind
/// what the batch and the groups before them have. No atomics, so no marks of the batch's classes: each place is compared
/// with all labels, which is to the head's own work as 1 to the dimension.
/// </summary>
public sealed partial class Gpu
{
    internal override void PartialFc(int[] labels, int classes, PartialFc partial, StepExchange? exchange, Drawn drawn)
    {
        int total = drawn.Count, batch = labels.Length;
        using var numbers = NumbersOf(exchange, new() { Step = partial.Step }, labels);
        if (IsMixed)
        {
            PartialFcCuda(numbers, classes, partial, drawn);
            return;
        }
        int groups = (total + Threads - 1) / Threads;
        using var counts = New(Shape.Of(1 + groups));
        var own = GpuNumbers.LabelsOf(Of(numbers), batch);
        var others = new OtherClasses(own, GpuNumbers.Words(Of(numbers)), partial.Seed, classes, total, batch);
        ArrayView<int> to = Integers(drawn.Classes), counted = Integers(counts);
        Launch(new BatchClasses(own, to, Integers(drawn.Labels), counted, batch), 1);
        Launch(new CountOthers(others, counted), groups);
        Launch(new WriteOthers(others, counted, to), groups);
    }

    /// The hand-written kernels, which mark the batch's classes in a bitmap.
    void PartialFcCuda(Tensor numbers, int classes, PartialFc partial, Drawn drawn)
    {
        int total = drawn.Count, batch = drawn.Labels.Shape.Rows;
        using Tensor slots = New(Shape.Of(batch)), marks = New(Shape.Of(CudaKernels.PartialMarks(classes))), counts = New(Shape.Of(CudaKernels.PartialCounts(total)));
        Fill(marks, 0);
        var args = new PartialFcArguments
        {
            Labels = LabelsAt(numbers), Drawn = Address(drawn.Classes), LocalLabels = Address(drawn.Labels), Slots = Address(slots), Marks = Address(marks), Counts = Address(counts),
            Numbers = Address(numbers), Seed = partial.Seed, Batch = batch, Classes = classes, Total = total,
        };
        foreach (var launch in CudaKernels.PartialFc(args)) Start(launch, args);
    }

    static ArrayView<int> Integers(Tensor t) => Of(t).Cast<int>();

    /// The rows of a matrix that were drawn.
    Tensor Gather(Tensor from, Drawn drawn)
    {
        var to = New(Shape.Of(drawn.Count, from.Shape.Cols));
        Pass(new GatherPoint(Of(from), Of(to), new(to, drawn.Classes)), to.Shape.Count);
        return to;
    }
}

/// <summary>Where the elements of some rows of a matrix are in it; without an index, where they are.</summary>
readonly struct GpuRowIndex(Tensor some, Tensor? index)
{
    // Any integers where there is no index: a view must be of something.
    readonly ArrayView<int> index = Gpu.Of(index ?? some).Cast<int>();
    readonly long columns = index is null ? 0 : some.Shape.Cols;

    public long At(long i)
    {
        if (columns == 0) return i;
        long row = i / columns;
        return index[row] * columns + (i - row * columns);
    }
}

readonly struct GatherPoint(View from, View to, GpuRowIndex rows) : IPoint
{
    public void At(long i) => to[i] = from[rows.At(i)];
}

/// <summary>Places of the step's <see cref="ClassOrder"/>, without the classes of the batch.</summary>
readonly struct OtherClasses(ArrayView<int> labels, ArrayView<ulong> words, ulong seed, long classes, int total, int batch)
{
    /// This thread's class, or −1.
    public int Mine()
    {
        int n = Grid.IdxX * Gpu.Threads + Group.IdxX;
        if (n >= total) return -1;
        int c = new ClassOrder(seed, words[GpuNumbers.Step / 2], (int)classes).At(n);
        for (int b = 0; b < batch; b++)
            if (labels[b] == c) return -1;
        return c;
    }
}

/// <summary>The batch's classes in the order of their first rows, and their number. One group.</summary>
readonly struct BatchClasses(ArrayView<int> labels, ArrayView<int> drawn, ArrayView<int> places, ArrayView<int> counts, long batch) : IKernel
{
    public void Run()
    {
        int each = ((int)batch + Gpu.Threads - 1) / Gpu.Threads, begin = Group.IdxX * each, end = begin + each < batch ? begin + each : (int)batch, own = 0;
        for (int b = begin; b < end; b++)
            if (FirstRow(b) == b) own++;
        int sum = GroupSum.Running(own), slot = sum - own;
        if (Group.IdxX == Gpu.Threads - 1) counts[0] = sum;
        for (int b = begin; b < end; b++)
        {
            if (FirstRow(b) != b) continue;
            places[b] = slot;
            drawn[slot] = labels[b];
            slot++;
        }
        Group.Barrier();
        for (int b = begin; b < end; b++)
        {
            int first = FirstRow(b);
            if (first != b) places[b] = first < 0 ? -1 : places[first];
        }
    }

    /// The first row of the same class; −1 without a class.
    int FirstRow(int b)
    {
        int label = labels[b];
        if (label < 0) return -1;
        int first = 0;
        while (labels[first] != label) first++;
        return first;
    }
}

readonly struct CountOthers(OtherClasses others, ArrayView<int> counts) : IKernel
{
    public void Run()
    {
        int sum = GroupSum.Running(others.Mine() < 0 ? 0 : 1);
        if (Group.IdxX == Gpu.Threads - 1) counts[1 + Grid.IdxX] = sum;
    }
}

readonly struct WriteOthers(OtherClasses others, ArrayView<int> counts, ArrayView<int> drawn) : IKernel
{
    public void Run()
    {
        // What the batch and the groups before this one have.
        int before = 0;
        for (int i = Group.IdxX; i <= Grid.IdxX; i += Gpu.Threads) before += counts[i];
        int c = others.Mine(), slot = (int)GroupSum.Of((double)before) + GroupSum.Running(c < 0 ? 0 : 1) - 1;
        if (c >= 0 && slot < drawn.Length) drawn[slot] = c;
    }
}
