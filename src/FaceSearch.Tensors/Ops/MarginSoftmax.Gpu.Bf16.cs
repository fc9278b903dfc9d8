namespace FaceSearch.Tensors;

/// <summary>
/// The head on tensor cores (kernels/MarginSoftmax*.cu): embeddings and centres rounded to bf16, all sums, losses and the centres
/// themselves in fp32. Some classes at a time: they are packed, and then used while they lie in the L2 cache, so that no copy of a million
/// centres exists, and none can be out of date. Those that Partial FC drew are packed by their index and moved by it. Memory beyond the operands is that of one piece, and 8 bytes a row and 128 classes, 16 MiB at most.
/// </summary>
public sealed partial class Gpu
{
    /// Most floats of the sums that tiles of classes leave for each row: 16 MiB, and then they are joined.
    internal int LogSumFloats { get; init; } = 1 << 22;

    void MarginSoftmaxBf16(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        int batch = unit.Shape.Rows, classes = rows.ClassesOf(centres), most = PieceClasses(unit, classes);
        using var x = Pack(unit);
        using var piece = NewRows(most, centres.Shape.Cols, squares: true);
        using Tensor numbers = NumbersOf(rows.Exchange, new() { Margin = margin }, labels), losses = New(Shape.Of(batch));
        // Tiles whose sums exist at a time, whatever the pieces.
        int tiles = CudaKernels.MarginPartials(classes), some = Math.Clamp(LogSumFloats / (2 * batch), 1, tiles), groups = (tiles + some - 1) / some;
        using Tensor partials = New(Shape.Of(some, 2, batch));
        using var joined = groups == 1 ? null : New(Shape.Of(groups, 2, batch));
        for (int group = 0; group < groups; group++)
        {
            int begin = group * some * CudaKernels.TileSide, end = Math.Min(classes, begin + some * CudaKernels.TileSide);
            for (int first = begin; first < end; first += most) Forward(first, Math.Min(most, end - first), (first - begin) / CudaKernels.TileSide);
            if (joined is null) break;
            var join = new MarginJoinArguments { Partials = Address(partials), Joined = Address(joined) + (nint)(8L * batch * group), Batch = batch, Tiles = CudaKernels.MarginPartials(end - begin) };
            Start(CudaKernels.MarginJoin(join), join);
        }
        var ofRows = new MarginRowsArguments
        {
            Partials = Address(joined ?? partials), Cosines = Address(rows.Cosines), Labels = LabelsAt(numbers, rows), FalseLogSums = Address(rows.FalseLogSums), Losses = Address(losses), Numbers = Address(numbers), Scales = new(margin),
            Batch = batch, Tiles = joined is null ? tiles : groups,
        };
        Start(CudaKernels.MarginRows(ofRows), ofRows);
        var ofLoss = new MarginLossArguments { Losses = Address(losses), Loss = Address(loss), Numbers = Address(numbers), Batch = batch };
        Start(CudaKernels.MarginLoss(ofLoss), ofLoss);

        void Forward(int first, int count, int tile)
        {
            Pack(centres, first, count, piece, rows.Drawn);
            var args = new MarginForwardArguments
            {
                Tile = Tile(x, piece, numbers, rows, margin, first, count), Partials = Address(partials) + (nint)(8L * batch * tile), Cosines = Address(rows.Cosines),
            };
            Start(Hopper ? CudaKernels.MarginForwardHopper(args) : CudaKernels.MarginForward(args, false), args);
        }
    }

    void MarginSoftmaxBackwardBf16(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update)
    {
        int batch = unit.Shape.Rows, dimension = unit.Shape.Cols, classes = rows.ClassesOf(centres), most = PieceClasses(unit, classes), depth = Math.Min(most, classes);
        int sliceDepth = CudaKernels.SliceDepth(depth, CudaKernels.Slices(batch, dimension, depth, FewTiles)), slices = (depth + sliceDepth - 1) / sliceDepth;
        using var x = Pack(unit);
        using var piece = NewRows(most, dimension, squares: true);
        using var gradients = NewRows(batch, most);
        using Tensor numbers = NumbersOf(rows.Exchange, new() { Margin = margin, Rate = update?.Rate ?? 0 }, labels), prepared = New(Shape.Of(3, batch)), along = New(Shape.Of(CudaKernels.MarginParts(batch), most));
        using var sums = dUnit is null || slices == 1 ? null : New(Shape.Of(slices, batch, dimension));
        var prepare = new MarginPrepareArguments
        {
            Cosines = Address(rows.Cosines), FalseLogSums = Address(rows.FalseLogSums), Labels = LabelsAt(numbers, rows), LossGradient = Address(dLoss), Rows = Address(prepared), Numbers = Address(numbers),
            Scales = new(margin), Batch = batch,
        };
        Start(CudaKernels.MarginPrepare(prepare), prepare);
        for (int first = 0; first < classes; first += most)
        {
            int count = Math.Min(most, classes - first);
            Pack(centres, first, count, piece, rows.Drawn);
            var tile = Tile(x, piece, numbers, rows, margin, first, count);
            var gradient = new MarginGradientArguments
            {
                Tile = tile, Rows = Address(prepared), Cosines = Address(rows.Cosines), Gradients = gradients.Address(), Along = Address(along), PitchGradients = most, PitchAlong = most,
            };
            Start(Hopper ? CudaKernels.MarginGradientHopper(gradient) : CudaKernels.MarginGradient(gradient, false), gradient);
            if (dUnit is not null)
            {
                // Slices of the same depth in every piece, so that each adds to what it left; the last piece may have fewer.
                var product = new MatMulArguments
                {
                    A = gradients.Address(), B = piece.Address(), C = Address(sums ?? dUnit), PitchA = most, PitchB = piece.Pitch, PitchC = dimension, SliceC = (long)batch * dimension,
                    Rows = batch, Columns = dimension, Depth = count, SliceDepth = sliceDepth, Alpha = 1, Add = first > 0 ? 1 : 0,
                };
                Start(CudaKernels.MatMul(product, false, false, false), product);
            }
            if (dCentres is null && update is null) continue;
            // An index is of all centres.
            int start = rows.Drawn is null ? first : 0;
            var centre = new MarginCentresArguments
            {
                Gradients = gradients.Address(), Unit = x.Address(), Along = Address(along), Squares = Address(piece.Squares!), Numbers = Address(numbers),
                Index = IndexAt(rows.Drawn, first), Masters = Row(centres, start), Velocities = update?.Velocity is { } velocity ? Row(velocity, start) : 0, Result = dCentres is null ? 0 : Row(dCentres, first),
                PitchGradients = most, PitchUnit = x.Pitch, PitchAlong = most, PitchSquares = most, PitchMasters = dimension, PitchResult = dimension,
                Batch = batch, Dimension = dimension, Classes = count, Parts = CudaKernels.MarginParts(dimension), AlongTiles = CudaKernels.MarginParts(batch),
                Momentum = update?.Momentum ?? 0, WeightDecay = update?.WeightDecay ?? 0, Nesterov = update is { Nesterov: true } ? 1 : 0,
            };
            Start(CudaKernels.MarginCentres(centre), centre);
        }
        if (sums is not null) SumSlices(sums, slices, dUnit!);
    }

    /// Classes at a time: as many as memory for their gradients holds, and as many centres as fill twice that.
    int PieceClasses(Tensor unit, int classes)
    {
        long bytes = 4L * GradientFloats;
        return Math.Min(CudaKernels.MarginClasses(unit.Shape.Rows, classes, bytes), CudaKernels.MarginClasses(unit.Shape.Cols, classes, 2 * bytes));
    }

    MarginTileArgument Tile(in Bf16Rows x, in Bf16Rows piece, Tensor numbers, in MarginRows rows, Margin margin, int first, int count) => new()
    {
        Unit = Hopper ? TensorMap(x.Plan(0, x.Rows)) : x.Address(), Centres = Hopper ? TensorMap(piece.Plan(0, count)) : piece.Address(), Squares = Address(piece.Squares!), Labels = LabelsAt(numbers, rows),
        PitchUnit = x.Pitch, PitchCentres = piece.Pitch, PitchSquares = piece.Rows, First = first,
        Batch = x.Rows, Dimension = x.Columns, Classes = count, Parts = CudaKernels.MarginParts(x.Columns), FalseScale = margin.FalseScale,
    };

    static nint LabelsAt(Tensor numbers, in MarginRows rows = default) => rows.Drawn is { } drawn ? Address(drawn.Labels) : Address(numbers) + 4 * GpuNumbers.Labels;

    /// Where the classes of a draw are from place `first` on; 0 without one.
    static nint IndexAt(Drawn? drawn, int first) => drawn is { } some ? Address(some.Classes) + 4 * (nint)first : 0;

    /// The address of a row of a matrix of floats.
    static nint Row(Tensor matrix, long row) => Address(matrix) + (nint)(4 * row * matrix.Shape.Cols);
}
