namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    private protected override bool RoundsCosines => false;
    internal override bool KeepsLengths => false;

    internal override void MarginSoftmax(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor loss)
    {
        if (rows.Drawn is { } drawn)
        {
            using var some = Gather(centres, drawn);
            MarginSoftmax(unit, some, PlacesOf(drawn), margin, rows with { Drawn = null }, loss);
            return;
        }
        double sum = 0;
        for (int b = 0; b < labels.Length; b++)
        {
            if (labels[b] < 0) continue;
            double[] cosines = CosinesToCentres(Row(unit, b), centres);
            double most = double.NegativeInfinity, others = 0;
            for (int c = 0; c < cosines.Length; c++)
                if (c != labels[b]) most = Math.Max(most, margin.FalseScale * cosines[c]);
            for (int c = 0; c < cosines.Length; c++)
                if (c != labels[b]) others += Math.Exp(margin.FalseScale * cosines[c] - most);
            Of(rows.Cosines)[b] = cosines[labels[b]];
            Of(rows.FalseLogSums)[b] = cosines.Length == 1 ? double.NegativeInfinity : most + Math.Log(others);
            sum += Margin.CrossEntropy(margin.True(Of(rows.Cosines)[b]).Logit, Of(rows.FalseLogSums)[b]).Loss;
        }
        Of(loss)[0] = sum / Math.Max(1, labels.Count(label => label >= 0));
    }

    internal override void MarginSoftmaxBackward(Tensor unit, Tensor centres, int[] labels, Margin margin, MarginRows rows, Tensor dLoss, Tensor? dUnit, Tensor? dCentres, CentreUpdate? update)
    {
        if (update is not null)
        {
            using Tensor gradient = New(Shape.Of(rows.ClassesOf(centres), centres.Shape.Cols)), velocity = update.Velocity is null ? Parameter("velocity", centres.Shape) : New(Shape.Of(1));
            gradient.OfRows = rows.Drawn?.Classes.Share();
            MarginSoftmaxBackward(unit, centres, labels, margin, rows, dLoss, dUnit, gradient, null);
            SgdStep(centres, gradient, update.Velocity ?? velocity, update.Rule);
            return;
        }
        if (rows.Drawn is { } drawn)
        {
            using var some = Gather(centres, drawn);
            MarginSoftmaxBackward(unit, some, PlacesOf(drawn), margin, rows with { Drawn = null }, dLoss, dUnit, dCentres, null);
            return;
        }
        if (dUnit is not null) Of(dUnit).Clear();
        if (dCentres is not null) Of(dCentres).Clear();
        double share = Of(dLoss)[0] / Math.Max(1, labels.Count(label => label >= 0));
        for (int b = 0; b < labels.Length; b++)
        {
            if (labels[b] < 0) continue;
            double[] cosines = CosinesToCentres(Row(unit, b), centres);
            var (logit, slope) = margin.True(Of(rows.Cosines)[b]);
            var (rowLoss, miss) = Margin.CrossEntropy(logit, Of(rows.FalseLogSums)[b]);
            for (int c = 0; c < cosines.Length; c++)
            {
                double g = share * (c == labels[b] ? -miss * slope : margin.FalseScale * Math.Exp(margin.FalseScale * cosines[c] - logit - rowLoss));
                AddCosineGradient(g, cosines[c], Row(unit, b), Row(centres, c), dUnit is null ? [] : Row(dUnit, b), dCentres is null ? [] : Row(dCentres, c));
            }
        }
    }

    static double[] CosinesToCentres(ReadOnlySpan<double> unit, Tensor centres)
    {
        var cosines = new double[centres.Shape.Rows];
        for (int c = 0; c < cosines.Length; c++)
        {
            double dot = 0, norm = Length(Row(centres, c));
            for (int k = 0; k < unit.Length; k++) dot += unit[k] * Row(centres, c)[k];
            cosines[c] = norm == 0 ? 0 : dot / norm;
        }
        return cosines;
    }

    static void AddCosineGradient(double g, double cosine, ReadOnlySpan<double> unit, ReadOnlySpan<double> centre, Span<double> dUnit, Span<double> dCentre)
    {
        double norm = Length(centre);
        if (norm == 0) return;
        for (int k = 0; k < dUnit.Length; k++) dUnit[k] += g * centre[k] / norm;
        for (int k = 0; k < dCentre.Length; k++) dCentre[k] += g * (unit[k] - cosine * centre[k] / norm) / norm;
    }

    static double Length(ReadOnlySpan<double> x)
    {
        double sum = 0;
        foreach (double v in x) sum += v * v;
        return Math.Sqrt(sum);
    }
}
