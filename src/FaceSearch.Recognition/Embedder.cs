using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;

namespace FaceSearch.Recognition;

/// <summary>Faces to embeddings with a trained network.</summary>
public static class Embedder
{
    // So few that their maps stay in the cache from one layer to the next, so many that packing weights costs nothing beside them;
    // on a GPU so many that it is busy, and less memory than a training.
    const int Images = 16, ImagesOnGpu = 64;

    /// <summary>
    /// Unit embeddings [faces, dimensions], row-major, of the centre windows. With <paramref name="addFlip"/> the
    /// embedding of the mirror image is added before the rows are normalised, as LFW-style verification does.
    /// </summary>
    public static float[] Embed(Backbone backbone, FaceSet faces, bool addFlip = true, CancellationToken stop = default)
    {
        int side = backbone.Side, dimensions = backbone.Settings.Embedding, image = 3 * side * side;
        int batch = Math.Min(faces.Count, backbone.Device is Gpu ? ImagesOnGpu : Images);
        var pixels = new byte[batch * image];
        var embeddings = new float[faces.Count * dimensions];
        using var frozen = backbone.Device.Freeze();
        for (int first = 0; first < faces.Count; first += batch)
        {
            stop.ThrowIfCancellationRequested();
            int count = Math.Min(batch, faces.Count - first);
            using var tape = new Tape(backbone.Device, record: false);
            var sum = Run(mirror: false);
            if (addFlip) sum = sum.Add(Run(mirror: true));
            backbone.Device.Read(sum.Normalize(), embeddings.AsSpan(first * dimensions, count * dimensions));

            Tensor Run(bool mirror)
            {
                Batches.Centre(faces, first, count, side, mirror, pixels);
                return backbone.Forward(tape.Input(Shape.Map(count, 3, side, side), pixels.AsSpan(0, count * image), Batches.ByteValues), Pass.Inference);
            }
        }
        return embeddings;
    }
}
