using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>Faces to embeddings with a trained network.</summary>
public static class Embedder
{
    // So few that their maps stay in the cache from one layer to the next, so many that packing weights costs nothing beside them.
    const int Batch = 16;

    /// <summary>
    /// Unit embeddings [faces, dimensions], row-major, of the centre windows. With <paramref name="addFlip"/> the
    /// embedding of the mirror image is added before the rows are normalised, as LFW-style verification does.
    /// </summary>
    public static float[] Embed(Backbone backbone, FaceSet faces, bool addFlip = true, CancellationToken stop = default)
    {
        int side = backbone.Side, dimensions = backbone.Settings.Embedding, image = 3 * side * side;
        var pixels = new float[Batch * image];
        var embeddings = new float[faces.Count * dimensions];
        for (int first = 0; first < faces.Count; first += Batch)
        {
            stop.ThrowIfCancellationRequested();
            int count = Math.Min(Batch, faces.Count - first);
            using var tape = new Tape(backbone.Device, record: false);
            var sum = Run(mirror: false);
            if (addFlip) sum = sum.Add(Run(mirror: true));
            backbone.Device.Read(sum.Normalize(), embeddings.AsSpan(first * dimensions, count * dimensions));

            Tensor Run(bool mirror)
            {
                Batches.Centre(faces, first, count, side, mirror, pixels);
                return backbone.Forward(tape.Input(Shape.Map(count, 3, side, side), pixels.AsSpan(0, count * image)), Pass.Inference);
            }
        }
        return embeddings;
    }
}
