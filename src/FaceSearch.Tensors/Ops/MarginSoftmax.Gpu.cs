using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// Forward: a group takes 64 rows and a range of the classes, tile after tile; each thread keeps the online log-sum-exp of
/// its four rows over the classes it sees, so that logits never leave the registers. A second kernel joins what
/// the threads and groups found, adds the rows' own logits and averages. Backward: a tile of classes at a time, the cosines again,
/// from them ∂L/∂cos in memory that stays in the cache, then two products: with the centres into dx̂, with the rows into dw or
/// straight into a step of SGD. Centres are counted in 64 bits. Those that Partial FC drew are gathered before either pass.
/// </summary>
public sealed partial class Gpu
{
    // Ranges of classes: enough to fill a large GPU together with the rows, few enough to be joined at once.
    const int ClassRanges = 128;

    /// Most floats of ∂L/∂cos that exist at a time: 16 MiB.
    internal int GradientFloats { get; init; } = 1 << 22;

    // The backward pass has the exact cosines at the price of one more product, which is what GPUs are good at.
    private protected override bool RoundsCosines => false;
    // On tensor cores they are of the centres as rounded, a piece at a time.
    internal override bool KeepsLengths => !IsMixed;

    internal override void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        // The other factors are read in memory.
        RecordedWhile(n => n.Margin with { M1 = margin.M1, M2 = margin.M2, M3 = margin.M3 } == margin);
        if (IsMixed)
        {
            MarginSoftmaxBf16(unit, centres, labels, margin, rows, loss);
            return;
        }
        int batch = unit.Shape.Rows, dimension = unit.Shape.Cols, classes = rows.ClassesOf(centres);
        int tiles = Tiles(classes), ranges = Math.Min(ClassRanges, tiles), tilesPerRange = (tiles + ranges - 1) / ranges;
        using Tensor numbers = NumbersOf(rows.Exchange, new() { Margin = margin }, labels), sums = New(Shape.Of(ranges, 2, batch)), taking = Taking(centres, rows);
        var own = LabelsOf(numbers, rows, batch);
        Launch(new InverseLengths(Of(taking), Of(rows.InverseLengths!), classes, dimension), (classes + InverseLengths.Rows - 1) / InverseLengths.Rows);
        Launch(new LogSums(MatrixOperand.Rows(Of(unit), batch, dimension), MatrixOperand.Rows(Of(taking), classes, dimension), Of(rows.InverseLengths!), own,
            Of(rows.Cosines), Of(sums), margin.FalseScale, batch, classes, dimension, tilesPerRange), Tiles(batch), ranges);
        Launch(new JoinLosses(own, new(margin, Of(numbers)), Of(rows.Cosines), Of(sums), Of(rows.FalseLogSums), Of(loss), batch, ranges), 1);
    }

    internal override void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update)
    {
        if (IsMixed)
        {
            MarginSoftmaxBackwardBf16(unit, centres, labels, margin, rows, dLoss, dUnit, dCentres, update);
            return;
        }
        int batch = unit.Shape.Rows, dimension = unit.Shape.Cols, classes = rows.ClassesOf(centres), rowTiles = Tiles(batch);
        // Whole tiles of classes, as many as the memory for their gradients holds.
        int most = Math.Min(classes, Math.Max(1, GradientFloats / batch / ProductTile.Side) * ProductTile.Side);
        using Tensor numbers = NumbersOf(rows.Exchange, new() { Margin = margin, Rate = update?.Rate ?? 0 }, labels), prepared = New(Shape.Of(3, batch));
        using Tensor gradients = New(Shape.Of(most, batch)), along = New(Shape.Of(rowTiles, most)), taking = Taking(centres, rows);
        var own = LabelsOf(numbers, rows, batch);
        // A step of SGD goes to the centres themselves.
        bool scatters = update is not null && rows.Drawn is not null;
        Pass(new PrepareRows(own, new(margin, Of(numbers)), Of(rows.Cosines), Of(rows.FalseLogSums), Of(dLoss), Of(prepared), batch), batch);
        for (int first = 0; first < classes; first += most)
        {
            int count = Math.Min(most, classes - first);
            var some = Slice(taking);
            var inverse = Of(rows.InverseLengths!).SubView(first, count);
            Launch(new CosineGradients(MatrixOperand.Rows(some, count, dimension), MatrixOperand.Rows(Of(unit), batch, dimension), inverse, own, Of(prepared), Of(rows.Cosines),
                Of(gradients), Of(along), margin.FalseScale, first, count, most, batch, dimension), Tiles(count), rowTiles);
            // Before the centres move.
            if (dUnit is not null)
                Multiply(MatrixOperand.Columns(Of(gradients), batch), MatrixOperand.Columns(some, dimension), new MatrixResult(Of(dUnit), dimension, first > 0 ? 1 : 0), batch, dimension, count);
            if (dCentres is null && update is null) continue;
            Pass(new SumAlong(Of(along), inverse, rowTiles, most), count);
            var index = Integers(rows.Drawn?.Classes ?? numbers);
            var target = new CentreResult(scatters ? Of(centres) : some, Of(along), Slice(dCentres ?? taking), scatters ? Of(update!.Velocity ?? centres) : Slice(update?.Velocity ?? taking), scatters ? index.SubView(first, count) : index,
                Of(numbers), dimension, update is null ? default : new(update.Rule, update.Velocity is not null), update is null ? 0 : scatters ? 2 : 1);
            Multiply(MatrixOperand.Rows(Of(gradients), count, batch), MatrixOperand.Columns(Of(unit), dimension), target, count, dimension, batch);

            View Slice(Tensor t) => Of(t).SubView((long)first * dimension, (long)count * dimension);
        }
    }

    /// The centres that take part, one after the other.
    Tensor Taking(Tensor centres, MarginRows rows) => rows.Drawn is { } drawn ? Gather(centres, drawn) : centres.Share();

    static ArrayView<int> LabelsOf(Tensor numbers, MarginRows rows, int batch) => rows.Drawn is { } drawn ? Integers(drawn.Labels) : GpuNumbers.LabelsOf(Of(numbers), batch);

    static int Tiles(int lines) => (lines + ProductTile.Side - 1) / ProductTile.Side;
}

/// <summary>A <see cref="Margin"/> as kernels take it: what changes from step to step is read in memory, and a truth value has no agreed size.</summary>
readonly struct MarginFactors(Margin margin, View numbers)
{
    readonly View numbers = numbers;
    readonly float trueScale = margin.TrueScale, falseScale = margin.FalseScale;
    readonly long straightThrough = margin.StraightThrough ? 1 : 0;

    public float FalseScale => falseScale;
    public Margin Margin => new(trueScale, falseScale, numbers[GpuNumbers.M1], numbers[GpuNumbers.M2], numbers[GpuNumbers.M3], straightThrough != 0);
    /// Of each row that counts in the mean over the batch.
    public float ShareOf(int batch) => GpuNumbers.ShareOf(numbers, batch);
}

/// <summary>1/‖w‖ of each centre, 0 for a centre of zeros, NaN where one has no finite length. A warp's worth of threads a centre.</summary>
readonly struct InverseLengths(View centres, View inverses, int classes, int dimension) : IKernel
{
    const int Lanes = 32;
    public const int Rows = Gpu.Threads / Lanes;

    public void Run()
    {
        var parts = SharedMemory.Allocate<float>(Gpu.Threads);
        int lane = Group.IdxX % Lanes, centre = Grid.IdxX * Rows + Group.IdxX / Lanes;
        float squares = 0;
        if (centre < classes)
            for (int k = lane; k < dimension; k += Lanes)
            {
                float w = centres[(long)centre * dimension + k];
                squares = GpuMath.MultiplyAdd(w, w, squares);
            }
        parts[Group.IdxX] = squares;
        Group.Barrier();
        for (int half = Lanes / 2; half > 0; half /= 2)
        {
            if (lane < half) parts[Group.IdxX] += parts[Group.IdxX + half];
            Group.Barrier();
        }
        squares = parts[Group.IdxX];
        // ∞ − ∞: a centre without a finite length must show.
        if (lane == 0 && centre < classes) inverses[centre] = squares == 0 ? 0 : 1 / MathF.Sqrt(squares) + (squares - squares);
    }
}

/// <summary>Joins the ranges' log-sums of each row in their order, and the rows' losses in a fixed one. One group.</summary>
readonly struct JoinLosses(ArrayView<int> labels, MarginFactors margin, View cosines, View sums, View falseLogSums, View loss, int batch, int ranges) : IKernel
{
    public void Run()
    {
        double total = 0;
        for (int row = Group.IdxX; row < batch; row += Gpu.Threads)
        {
            if (labels[row] < 0) continue;
            float most = LogSums.Excluded;
            for (int range = 0; range < ranges; range++)
            {
                float m = sums[(long)range * 2 * batch + row];
                if (m > most) most = m;
            }
            double sum = 0;
            for (int range = 0; range < ranges; range++)
                sum += sums[((long)range * 2 + 1) * batch + row] * GpuMath.Exp((double)sums[(long)range * 2 * batch + row] - most);
            double logSum = most + GpuMath.Log(sum);
            falseLogSums[row] = (float)logSum;
            total += Margin.CrossEntropy<GpuAngles>(margin.Margin.True<GpuAngles>(cosines[row]).Logit, (float)logSum).Loss;
        }
        total = GroupSum.Of(total);
        if (Group.IdxX == 0) loss[0] = (float)(total * margin.ShareOf(batch));
    }
}

/// <summary>Of each row [3, batch]: the log-sum-exp of all its logits, the weight of its probabilities, and ∂L/∂cos of its own class. Zeros for a row that is ignored.</summary>
readonly struct PrepareRows(ArrayView<int> labels, MarginFactors margin, View cosines, View falseLogSums, View dLoss, View prepared, long batch) : IPoint
{
    public void At(long row)
    {
        float logSum = 0, weight = 0, own = 0;
        if (labels[row] >= 0)
        {
            float part = dLoss[0] * margin.ShareOf((int)batch);
            var (logit, slope) = margin.Margin.True<GpuAngles>(cosines[row]);
            var (loss, miss) = Margin.CrossEntropy<GpuAngles>(logit, falseLogSums[row]);
            logSum = (float)(logit + loss);
            weight = part * margin.FalseScale;
            own = (float)(-miss * slope * part);
        }
        prepared[row] = logSum;
        prepared[batch + row] = weight;
        prepared[2 * batch + row] = own;
    }
}

/// <summary>Joins Σ g·cos over the tiles of rows and turns it into what pulls a gradient to a right angle with its centre: −Σ g·cos/‖w‖.</summary>
readonly struct SumAlong(View along, View inverses, int rowTiles, int stride) : IPoint
{
    public void At(long c)
    {
        float sum = 0;
        for (int tile = 0; tile < rowTiles; tile++) sum += along[(long)tile * stride + c];
        along[c] = -sum * inverses[c];
    }
}

/// <summary>Where the gradients of the centres go: to memory, or into a step of SGD, of that row (1) or the one that the index names (2). A centre's gradient is product + pull·w.</summary>
readonly struct CentreResult(View centres, View pull, View gradients, View velocity, ArrayView<int> index, View numbers, int dimension, SgdFactors factors, int updates) : IResult
{
    public void Put(int row, int column, int part, float value)
    {
        long i = (long)(updates == 2 ? index[row] : row) * dimension + column;
        float gradient = GpuMath.MultiplyAdd(pull[row], centres[i], value);
        if (updates != 0) factors.Step(centres, velocity, i, gradient, numbers[GpuNumbers.Rate]);
        else gradients[i] = gradient;
    }
}
