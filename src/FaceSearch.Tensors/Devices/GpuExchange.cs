using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    public override StepExchange NewExchange(Shape images, float[] byteValues) => new Exchange(this, images, byteValues);

    /// The numbers that an op is called with as its kernels read them: where its exchange has them, or put into memory for it alone.
    Tensor NumbersOf(StepExchange? exchange, in StepNumbers numbers, ReadOnlySpan<int> labels = default)
    {
        if (exchange is Exchange known) return known.Places.Share();
        var values = new float[GpuNumbers.Count(labels.Length)];
        GpuNumbers.Write(values, numbers, labels);
        return From(Shape.Of(values.Length), values);
    }

    /// <summary>
    /// Two pieces of memory take turns, on both sides: into one the host writes the next step's images and from there they
    /// travel, on a stream of their own, while the step before reads what came through the other. A step's first kernels
    /// bring its piece to where all steps read it. By the time a piece is written again its step has been waited for.
    /// </summary>
    sealed class Exchange : StepExchange
    {
        readonly Gpu gpu;
        readonly int header;
        // Null on a meter: nothing travels.
        readonly AcceleratorStream? road;
        readonly GpuFerry[] ferries;
        readonly Tensor byteValues;
        int turn;
        bool bytes;
        Tensor? outcome;
        int gradients;

        public Exchange(Gpu gpu, Shape images, float[] byteValues) : base(gpu, images)
        {
            this.gpu = gpu;
            int numbers = GpuNumbers.Count(images.Images);
            // Images begin where memory is aligned for any access.
            header = (numbers + 63) / 64 * 64;
            Places = gpu.New(Shape.Of(numbers));
            var accelerator = gpu.accelerator.Accelerator;
            accelerator.Bind();
            road = gpu.IsMeter ? null : accelerator.CreateStream();
            ferries = [.. Enumerable.Range(0, 2).Select(_ => new GpuFerry(accelerator, road, gpu.New(Shape.Of(checked(header + (int)images.Count)))))];
            this.byteValues = gpu.From(Shape.Of(256), byteValues);
            // Whoever had this memory before is done with it.
            gpu.Synchronize();
        }

        /// Numbers and labels of the step that runs.
        public Tensor Places { get; }
        public override bool IsBeside => true;
        public override Memory<float> Next => ferries[turn].Host[header..];

        private protected override void Leave(StepNumbers numbers, bool bytes)
        {
            this.bytes = bytes;
            GpuNumbers.Write(ferries[turn].Host.Span, numbers, NextLabels);
            long values = Images.Shape.Count;
            ferries[turn].Start(header + (int)(bytes ? (values + 3) / 4 : values));
        }

        private protected override void Arrive()
        {
            ferries[turn].Arrive(gpu.stream);
            View from = Of(ferries[turn].Memory), images = from.SubView(header, Images.Shape.Count);
            var rows = new GpuRows(Images.Shape);
            gpu.Pass(new CopyPoint(from, Of(Places)), Places.Shape.Count);
            if (bytes) gpu.Pass(new BytesCell(images.Cast<byte>(), Of(byteValues), Map(Images), rows), rows);
            else gpu.Unflatten(new MapView(images), Images);
            turn = 1 - turn;
        }

        public override void Tell(Tensor loss) => gpu.Pass(new CopyPoint(Of(loss), Of(Places).SubView(GpuNumbers.Loss, 1)), 1);

        public override bool Clip(IReadOnlyList<Tensor> gradients, double limit)
        {
            if (outcome is null || this.gradients != gradients.Count)
            {
                outcome?.Dispose();
                // The loss in the place of a double.
                outcome = gpu.New(Shape.Of(2 * (1 + gradients.Count)));
                this.gradients = gradients.Count;
            }
            var doubles = Of(outcome).Cast<double>();
            var squares = doubles.SubView(1, gradients.Count);
            gpu.SumSquares(gradients, squares);
            gpu.Launch(new ClipFactor(squares, Of(Places), doubles, gradients.Count, limit), 1);
            return true;
        }

        public override (double Loss, double[] Squares) Receive()
        {
            var values = new double[1 + gradients];
            gpu.Download(Of(outcome!).Cast<double>(), values);
            return (values[0], values[1..]);
        }

        public override void Dispose()
        {
            base.Dispose();
            gpu.Synchronize();
            road?.Synchronize();
            foreach (var ferry in ferries) ferry.Dispose();
            road?.Dispose();
            Places.Dispose();
            byteValues.Dispose();
            outcome?.Dispose();
        }
    }
}

/// <summary>Bytes as photographs have them, [image][row][column][3], to the values of a map: by a table, so that they are the host's to the bit.</summary>
readonly struct BytesCell(ArrayView<byte> bytes, View values, MapView map, GpuRows rows) : ICell
{
    public void At(int row, int column) => map[rows.At(row, column)] = column < rows.Columns ? values[(int)bytes[(long)row * rows.Columns + column]] : 0;
}

/// <summary>The norm of all gradients and what brings it down to the limit; −1, and so no step, where it or the loss is not finite. One group.</summary>
readonly struct ClipFactor(ArrayView<double> squares, View numbers, ArrayView<double> outcome, long count, double limit) : IKernel
{
    public void Run()
    {
        double sum = 0;
        for (long i = Group.IdxX; i < count; i += Gpu.Threads) sum += squares[i];
        double norm = Math.Sqrt(GroupSum.Of(sum));
        if (Group.IdxX != 0) return;
        float loss = numbers[GpuNumbers.Loss], factor = 1;
        if (limit > 0 && norm > limit) factor = (float)(limit / norm);
        // 0, or NaN for ∞ − ∞; compared as bits, for OpenCL takes NaN for equal to all numbers.
        float finite = (float)(norm - norm) + (loss - loss);
        numbers[GpuNumbers.Factor] = Interop.FloatAsInt(finite) == 0 ? factor : -1;
        outcome[0] = loss;
    }
}
