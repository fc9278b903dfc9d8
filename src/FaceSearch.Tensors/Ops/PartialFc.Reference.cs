namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void PartialFc(int[] labels, int classes, PartialFc partial, StepExchange? exchange, Drawn drawn)
    {
        var places = new int[labels.Length];
        var ofBatch = BatchClasses(labels, places);
        var order = new ClassOrder(partial.Seed, partial.Step, classes);
        var others = Enumerable.Range(0, drawn.Count).Select(n => order.At(n)).Except(ofBatch);
        int slot = 0;
        foreach (int c in ofBatch.Concat(others).Take(drawn.Count)) Of(drawn.Classes)[slot++] = c;
        for (int b = 0; b < places.Length; b++) Of(drawn.Labels)[b] = places[b];
    }

    /// The rows of a matrix that were drawn.
    Tensor Gather(Tensor from, Drawn drawn)
    {
        var to = New(Shape.Of(drawn.Count, from.Shape.Cols));
        for (int i = 0; i < drawn.Count; i++) Row(from, (int)Of(drawn.Classes)[i]).CopyTo(Row(to, i));
        return to;
    }

    static int[] PlacesOf(Drawn drawn)
    {
        var places = new int[drawn.Labels.Shape.Count];
        for (int b = 0; b < places.Length; b++) places[b] = (int)Of(drawn.Labels)[b];
        return places;
    }

    /// Where element i of a gradient belongs in the parameter.
    static int PlaceOf(Tensor gradient, int i) => gradient.OfRows is { } rows ? (int)Of(rows)[i / gradient.Shape.Cols] * gradient.Shape.Cols + i % gradient.Shape.Cols : i;
}
