namespace FaceSearch.Tensors;

/// What the forward pass keeps of each row: the cosine to its own class [B] and the log-sum-exp of the other classes' logits [B].
readonly record struct MarginRows(Tensor Cosines, Tensor FalseLogSums);

public abstract partial class Device
{
    /// loss [1] and rows, from unit embeddings [B, d] and centres [C, d] of any length.
    internal abstract void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss);
    /// Gradients by the unit embeddings and by the centres; null where none is needed.
    internal abstract void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres);
}

public static partial class Ops
{
    /// <summary>
    /// Mean cross-entropy [1] of margin logits over the rows whose label is not −1 (0 when there is none).
    /// Embeddings [B, d] and centres [C, d] are divided by their lengths here; a row of zeros has cosine 0 to everything
    /// and gradient 0. Only the B×C cosines of one tile of classes exist at a time: the forward pass keeps two numbers a
    /// row, the backward pass computes the cosines again, so memory beyond the operands does not grow with C.
    /// With g = ∂L/∂cos: dx̂ = Σ g·ŵ, dw = (Σ g·x̂ − (Σ g·cos)·ŵ)/‖w‖.
    /// </summary>
    public static Tensor MarginSoftmax(this Tensor embeddings, Tensor centres, int[] labels, Margin margin)
    {
        Check.Rank(embeddings, 2);
        Check.Shape(centres, Shape.Of(centres.Shape.Rows, embeddings.Shape.Cols));
        Check.SameDevice(embeddings, centres);
        int batch = embeddings.Shape.Rows, classes = centres.Shape.Rows;
        Check.That(labels.Length == batch, $"labels must be one for each of the {batch} embeddings but there are {labels.Length}");
        int wrong = Array.FindIndex(labels, label => label < -1 || label >= classes);
        Check.That(wrong < 0, $"labels[{wrong}] is {(wrong < 0 ? 0 : labels[wrong])} but there are {classes} classes; expected 0 to {classes - 1}, or -1 to ignore the row");
        Check.That(margin is { TrueScale: > 0, FalseScale: > 0 }, $"both scales must be positive but margin is {margin}");

        var unit = embeddings.Normalize();
        Tensor loss = unit.Like(Shape.Of(1));
        var rows = new MarginRows(unit.Like(Shape.Of(batch)), unit.Like(Shape.Of(batch)));
        var device = unit.Device;
        device.MarginSoftmax(unit, centres, labels, margin, rows, loss);
        long macs = (long)batch * classes * unit.Shape.Cols;
        return loss.From("margin softmax", Cost.OfMacs(macs, unit, centres), Cost.OfMacs(3 * macs, unit, centres, unit, centres), [unit, centres], dLoss =>
        {
            Tensor? dUnit = unit.NeedsGradient ? unit.Like() : null, dCentres = centres.NeedsGradient ? centres.Like() : null;
            device.MarginSoftmaxBackward(unit, centres, labels, margin, rows, dLoss, dUnit, dCentres);
            if (dUnit is not null) unit.Accumulate(dUnit);
            if (dCentres is not null) centres.Accumulate(dCentres);
        });
    }
}

public sealed partial class Meter
{
    internal override void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        var tiling = MarginTiling.Of(unit, centres);
        using Tensor rowStrips = New(tiling.Strips), logSums = New(tiling.LogSums);
    }

    internal override void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres)
    {
        var tiling = MarginTiling.Of(unit, centres);
        using Tensor rowStrips = New(tiling.Strips), columnStrips = New(tiling.Strips), rowGradients = New(tiling.RowGradients);
        using var partials = dUnit is null ? null : New(tiling.Partials);
    }
}
