using FaceSearch.Tensors;

namespace FaceSearch.Tests.Kernels;

/// <summary>In what form a head's kernels take the centres.</summary>
enum Centres { Bf16, Floats, TensorMaps }

/// <summary>A margin head on emulated kernels, launched in the order that <see cref="CudaKernels"/> describes.</summary>
sealed class Head(int batch, int dimension, int classes, Margin margin, int[] labels, Centres form, Order order) : IDisposable
{
    readonly int pitch = (dimension + 7) / 8 * 8, parts = CudaKernels.MarginParts(dimension);
    readonly bool floatCentres = form == Centres.Floats, hopper = form == Centres.TensorMaps;
    readonly List<IDisposable> owned = [];

    public float Loss { get; private set; }
    public float[] UnitGradient { get; private set; } = [];

    Global<T> New<T>(long count) where T : unmanaged
    {
        var memory = new Global<T>(count);
        owned.Add(memory);
        return memory;
    }

    Global<T> New<T>(ReadOnlySpan<T> values) where T : unmanaged
    {
        var memory = New<T>(values.Length);
        values.CopyTo(memory.Values);
        return memory;
    }

    nint Map(nint address, int rows)
    {
        var map = Emulator.TensorMap(new(address, pitch * 2, dimension, rows));
        owned.Add(map);
        return map.Address;
    }

    public (Global<ushort> Rows, Global<float> Squares) Pack(Global<float> from, int rows, nint index = 0)
    {
        var (packed, squares) = (New<ushort>((long)rows * pitch), New<float>((long)parts * rows));
        var args = new PackRowsArguments
        {
            From = from.Address, Index = index, To = packed.Address, Squares = squares.Address, PitchFrom = dimension, PitchTo = pitch, PitchSquares = rows, Rows = rows,
            Columns = dimension,
        };
        Emulator.Run(CudaKernels.PackRows(args), args, order);
        return (packed, squares);
    }

    /// <summary>
    /// A step: loss, the embeddings' gradient and, in place, centres and velocities (or, without a rule, the centres' gradient as the
    /// result). An index names the master rows of the classes. Classes go through the backward pass `some` at a time.
    /// </summary>
    public float[] Step(float[] unit, Global<float> masters, Global<float>? velocities, SgdRule? rule, int some, nint index = 0)
    {
        var (x, _) = Pack(New<float>(unit), batch);
        var (copy, squares) = Pack(masters, classes, index);
        var labelled = New<int>(labels);
        nint centres = floatCentres ? masters.Address : copy.Address;
        long centrePitch = floatCentres ? dimension : pitch;
        int tiles = CudaKernels.MarginPartials(classes);
        var numbers = New<float>(GpuNumbers.Count(batch));
        GpuNumbers.Write(numbers.Values, new() { Rate = rule?.Rate ?? 0, Margin = margin }, labels);
        var tile = new MarginTileArgument
        {
            Unit = hopper ? Map(x.Address, batch) : x.Address, Centres = hopper ? Map(centres, classes) : centres, Squares = squares.Address, Labels = labelled.Address,
            PitchUnit = pitch, PitchCentres = centrePitch, PitchSquares = classes,
            Batch = batch, Dimension = dimension, Classes = classes, Parts = parts, FalseScale = margin.FalseScale,
        };
        Global<float> cosines = New<float>(batch), falseLogSums = New<float>(batch), losses = New<float>(batch), loss = New<float>(1), partials = New<float>(2L * tiles * batch),
            rows = New<float>(3 * batch);
        var forward = new MarginForwardArguments { Tile = tile, Partials = partials.Address, Cosines = cosines.Address };
        Emulator.Run(hopper ? CudaKernels.MarginForwardHopper(forward) : CudaKernels.MarginForward(forward, floatCentres), forward, order);
        var ofRows = new MarginRowsArguments
        {
            Partials = partials.Address, Cosines = cosines.Address, Labels = labelled.Address, FalseLogSums = falseLogSums.Address, Losses = losses.Address, Numbers = numbers.Address,
            Scales = new(margin), Batch = batch, Tiles = tiles,
        };
        Emulator.Run(CudaKernels.MarginRows(ofRows), ofRows, order);
        var ofLoss = new MarginLossArguments { Losses = losses.Address, Loss = loss.Address, Numbers = numbers.Address, Batch = batch };
        Emulator.Run(CudaKernels.MarginLoss(ofLoss), ofLoss, order);
        Loss = loss.Values[0];

        var prepare = new MarginPrepareArguments
        {
            Cosines = cosines.Address, FalseLogSums = falseLogSums.Address, Labels = labelled.Address, LossGradient = New<float>([1]).Address, Rows = rows.Address,
            Numbers = numbers.Address, Scales = new(margin), Batch = batch,
        };
        Emulator.Run(CudaKernels.MarginPrepare(prepare), prepare, order);
        const int slices = 2;
        Global<float> dUnitSlices = New<float>((long)slices * batch * dimension), dUnit = New<float>((long)batch * dimension),
            along = New<float>((long)CudaKernels.MarginParts(batch) * some), newSquares = New<float>((long)parts * classes);
        Global<float> dCentres = New<float>((long)classes * dimension);
        dUnitSlices.Values.Clear();
        for (int first = 0; first < classes; first += some)
        {
            var gradients = New<ushort>((long)batch * some);
            tile.First = first;
            tile.Classes = Math.Min(some, classes - first);
            nint these = centres + (nint)(first * centrePitch * (floatCentres ? 4 : 2));
            tile.Centres = hopper ? Map(these, tile.Classes) : these;
            tile.Squares = squares.Address + first * 4;
            var gradient = new MarginGradientArguments
            {
                Tile = tile, Rows = rows.Address, Cosines = cosines.Address, Gradients = gradients.Address, Along = along.Address, PitchGradients = some, PitchAlong = some,
            };
            Emulator.Run(hopper ? CudaKernels.MarginGradientHopper(gradient) : CudaKernels.MarginGradient(gradient, floatCentres), gradient, order);
            var product = new MatMulArguments
            {
                A = gradients.Address, B = these, C = dUnitSlices.Address, PitchA = some, PitchB = centrePitch, PitchC = dimension, SliceC = (long)batch * dimension,
                Rows = batch, Columns = dimension, Depth = tile.Classes, SliceDepth = CudaKernels.SliceDepth(tile.Classes, slices), Alpha = 1, Add = 1,
            };
            Emulator.Run(floatCentres ? CudaKernels.MatMulFromFloats(product) : CudaKernels.MatMul(product, false, false, false), product, order);
            var move = new MarginCentresArguments
            {
                Gradients = gradients.Address, Unit = x.Address, Along = along.Address, Squares = tile.Squares, Index = index == 0 ? 0 : index + first * 4,
                Masters = masters.Address + (index == 0 ? first * dimension * 4 : 0), Velocities = velocities is null ? 0 : velocities.Address + (index == 0 ? first * dimension * 4 : 0),
                Result = rule is null ? dCentres.Address + first * dimension * 4 : 0, Copy = rule is null ? 0 : copy.Address + first * pitch * 2, NewSquares = newSquares.Address + first * 4,
                PitchGradients = some, PitchUnit = pitch, PitchAlong = some, PitchSquares = classes, PitchMasters = dimension, PitchResult = dimension, PitchCopy = pitch,
                Batch = batch, Dimension = dimension, Classes = tile.Classes, Parts = parts, AlongTiles = CudaKernels.MarginParts(batch),
                Numbers = numbers.Address, Momentum = rule?.Momentum ?? 0, WeightDecay = rule?.WeightDecay ?? 0, Nesterov = rule is { Nesterov: true } ? 1 : 0,
            };
            Emulator.Run(CudaKernels.MarginCentres(move), move, order);
        }
        var sum = new SumSlicesArguments { Slices = dUnitSlices.Address, To = dUnit.Address, Count = (long)batch * dimension, Number = slices };
        Emulator.Run(CudaKernels.SumSlices(sum), sum, order);
        UnitGradient = dUnit.Values.ToArray();
        (Copy, NewSquares) = (copy, newSquares);
        return dCentres.Values.ToArray();
    }

    /// <summary>What an update left of the new centres: their bf16 copy and sums of squares.</summary>
    public Global<ushort>? Copy { get; private set; }
    public Global<float>? NewSquares { get; private set; }

    public void Dispose() => owned.ForEach(memory => memory.Dispose());
}
