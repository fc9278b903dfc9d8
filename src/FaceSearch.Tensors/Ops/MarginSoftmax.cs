namespace FaceSearch.Tensors;

/// <summary>
/// A step of <see cref="Device.Sgd"/> that the backward pass takes on the centres itself, tile by tile, so that their
/// gradient never exists. Without a velocity there is no momentum.
/// </summary>
public sealed record CentreUpdate(Tensor? Velocity, float Rate, float Momentum, bool Nesterov, float WeightDecay)
{
    internal SgdRule Rule => new(Rate, Momentum, Nesterov, WeightDecay);
}

/// What the forward pass keeps of each row: the cosine to its own class [B] and the log-sum-exp of the other classes' logits [B];
/// of the first classes the cosines to all rows in 16 bits, or null; and of the centres that take part 1/‖w‖ [C], where the device keeps them. Drawn: the classes that take part, null for all; classes and
/// labels are then counted by their places among them.
readonly record struct MarginRows(Tensor Cosines, Tensor FalseLogSums, Tensor? Kept, Tensor? InverseLengths = null, StepExchange? Exchange = null, Drawn? Drawn = null)
{
    /// How many of the centres take part.
    public int ClassesOf(Tensor centres) => Drawn?.Count ?? centres.Shape.Rows;
    /// The kept cosines where they contain this tile of classes.
    public Tensor? KeptOf(MarginTiling tiling, int tile) => tile < tiling.KeptTiles ? Kept : null;
    public bool KeepsAll(MarginTiling tiling) => Kept is not null && tiling.KeptTiles == tiling.Tiles;
}

public abstract partial class Device
{
    /// loss [1] and rows, from unit embeddings [B, d] and centres [C, d] of any length. Labels name classes, drawn or not.
    internal abstract void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss);
    /// Gradients by the unit embeddings and by the centres that take part, null where none is needed; or the update of those centres.
    internal abstract void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update);
    /// Rows that the mean is over.
    private protected static int Counted(int[] labels) => Math.Max(1, labels.Count(label => label >= 0));
    /// Whether the backward pass may take cosines rounded to 16 bits.
    private protected virtual bool RoundsCosines => true;
    /// Whether the backward pass takes 1/‖w‖ of each centre from the forward pass.
    internal virtual bool KeepsLengths => true;
    internal bool Keeps(MarginTiling tiling) => RoundsCosines && tiling.KeptTiles > 0;
}

public static partial class Ops
{
    /// <summary>
    /// Mean cross-entropy [1] of margin logits over the rows whose label is not −1 (0 when there is none).
    /// Embeddings [B, d] and centres [C, d] are divided by their lengths here; a row of zeros has cosine 0 to everything
    /// and gradient 0. Only the B×C logits of one tile of classes exist at a time.
    /// With g = ∂L/∂cos: dx̂ = Σ g·ŵ, dw = (Σ g·x̂ − (Σ g·cos)·ŵ)/‖w‖.
    ///
    /// For the backward pass the cosines of as many classes as <see cref="MarginTiling.MostKeptBytes"/> hold are kept as 16-bit
    /// multiples of 1/32767: a logit is then off by at most scale·2⁻¹⁶, a probability by that share of
    /// itself (0.1 % at a scale of 64), and as they err independently, the whole gradient by about 10⁻⁴ of its length (measured
    /// 1.2·10⁻⁴ at d = 512, 3.4·10⁻⁴ at d = 33); the loss is not touched. Those of further classes, or of all where <paramref name="recompute"/> asks,
    /// are computed again: a third more work, memory beyond the operands that does not grow with C, gradients to the
    /// precision of floats. Half floats would be too coarse for a scale of 64: a cosine near 1 has 11 bits there, near 0
    /// more than it needs.
    ///
    /// With <paramref name="update"/> the backward pass moves the centres instead of leaving their gradient. With an exchange a GPU takes
    /// labels, margins, the update's rate and the step of the draw from there, where they must be the same; the two scales are those given here.
    ///
    /// With <paramref name="partial"/> the other classes of the softmax are those that it draws: work and memory are as of so many classes, and
    /// the centres' gradient is of these rows alone (<see cref="Tensor.OfRows"/>). No other centre moves, nor its velocity or moments,
    /// nor does it decay: what the paper's first code did. Its second, with one large parameter, lets momentum and decay act on all
    /// centres each step, which would cost a pass over all of them. Where all are drawn, this is the head without a draw, bit for bit.
    /// </summary>
    public static Tensor MarginSoftmax(this Tensor embeddings, Tensor centres, int[] labels, Margin margin, bool recompute = false, CentreUpdate? update = null, StepExchange? exchange = null, PartialFc? partial = null)
    {
        Check.Rank(embeddings, 2);
        Check.Shape(centres, Shape.Of(centres.Shape.Rows, embeddings.Shape.Cols));
        Check.SameDevice(embeddings, centres);
        CheckLabels(labels, embeddings.Shape.Rows, centres.Shape.Rows);
        Check.That(margin is { TrueScale: > 0, FalseScale: > 0 }, $"both scales must be positive but margin is {margin}");
        if (update is not null) CheckUpdate(update, centres);

        var unit = embeddings.Normalize();
        var device = unit.Device;
        var drawn = Draw(unit, centres, labels, partial, exchange);
        var tiling = MarginTiling.Of(unit, drawn?.Count ?? centres.Shape.Rows);
        var taking = Shape.Of(tiling.Classes, tiling.Dimension);
        bool backward = unit.Tape is { Records: true } && (unit.NeedsGradient || centres.NeedsGradient);
        Tensor loss = unit.Like(Shape.Of(1));
        var kept = backward && !recompute && device.Keeps(tiling) ? unit.Like(tiling.Kept) : null;
        var rows = new MarginRows(unit.Like(Shape.Of(tiling.Batch)), unit.Like(Shape.Of(tiling.Batch)), kept, device.KeepsLengths ? unit.Like(Shape.Of(tiling.Classes)) : null, exchange, drawn);
        device.MarginSoftmax(unit, centres, labels, margin, rows, loss);
        long macs = (long)tiling.Batch * tiling.Classes * tiling.Dimension;
        int again = recompute ? tiling.Classes : tiling.Classes - tiling.Kept.Rows;
        var repeated = again > 0 ? Cost.OfMacs((long)tiling.Batch * again * tiling.Dimension, unit.Shape, taking) : default;
        return loss.From("margin softmax", Cost.OfMacs(macs, unit.Shape, taking), Cost.OfMacs(2 * macs, unit.Shape, taking, unit.Shape, taking) + repeated, [unit, centres], dLoss =>
        {
            Tensor? dUnit = unit.NeedsGradient ? unit.Like() : null, dCentres = centres.NeedsGradient && update is null ? centres.Like(taking) : null;
            // It outlives the tape, which owns the draw.
            if (dCentres is not null) dCentres.OfRows = drawn?.Classes.Share();
            device.MarginSoftmaxBackward(unit, centres, labels, margin, rows, dLoss, dUnit, dCentres, update);
            kept?.Dispose();
            rows.InverseLengths?.Dispose();
            if (dUnit is not null) unit.Accumulate(dUnit);
            if (dCentres is not null) centres.Accumulate(dCentres);
        });
    }

    /// The classes that take part; null for all.
    static Drawn? Draw(Tensor unit, Tensor centres, int[] labels, PartialFc? partial, StepExchange? exchange)
    {
        const string op = nameof(MarginSoftmax);
        int classes = centres.Shape.Rows;
        if (partial is not { } share) return null;
        Check.That(share.Rate is > 0 and <= 1, $"the share of classes must be above 0 and at most 1 but is {share.Rate}", op);
        int count = share.CountOf(classes, labels.Length);
        if (count == classes) return null;
        // Whose gradient may be of some rows alone.
        Check.That(centres.Tape is null, "centres must be a parameter where some of them are drawn, but they are the result of an op", op);
        var drawn = new Drawn(unit.Like(Shape.Of(count)), unit.Like(Shape.Of(labels.Length)));
        unit.Device.PartialFc(labels, classes, share, exchange, drawn);
        return drawn;
    }

    static void CheckLabels(int[] labels, int batch, int classes)
    {
        const string op = nameof(MarginSoftmax);
        Check.That(labels.Length == batch, $"labels must be one for each of the {batch} embeddings but there are {labels.Length}", op);
        int wrong = Array.FindIndex(labels, label => label < -1 || label >= classes);
        Check.That(wrong < 0, $"labels[{wrong}] is {(wrong < 0 ? 0 : labels[wrong])} but there are {classes} classes; expected 0 to {classes - 1}, or -1 to ignore the row", op);
    }

    static void CheckUpdate(CentreUpdate update, Tensor centres)
    {
        const string op = nameof(MarginSoftmax);
        Check.That(centres.NeedsGradient, "an update is given for centres that are frozen", op);
        if (update.Velocity is { } velocity)
        {
            Check.Shape(velocity, centres.Shape, op);
            Check.SameDevice(centres, velocity, op);
        }
        else Check.That(update.Momentum == 0, $"an update with momentum {update.Momentum} needs a velocity", op);
    }
}

public sealed partial class Meter
{
    internal override void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        var tiling = MarginTiling.Of(unit, rows.ClassesOf(centres));
        using Tensor rowStrips = New(tiling.Strips), logSums = New(tiling.LogSums);
    }

    internal override void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update)
    {
        var tiling = MarginTiling.Of(unit, rows.ClassesOf(centres));
        using Tensor columnStrips = New(tiling.Strips), rowGradients = New(tiling.RowGradients);
        using Tensor? rowStrips = rows.KeepsAll(tiling) ? null : New(tiling.Strips), partials = dUnit is null ? null : New(tiling.Partials);
    }
}
