using FaceSearch.Recognition.Data;
using FaceSearch.Recognition.Nets;

namespace FaceSearch.Recognition;

/// <summary>How well a network tells pairs of people it has not seen.</summary>
public static class Evaluation
{
    /// <summary>The LFW protocol on embeddings with the mirror image added; a trial's score is its Accuracy.</summary>
    public static VerificationResult Verify(Backbone backbone, PairSet pairs, CancellationToken stop = default) =>
        Verification.Evaluate(Embedder.Embed(backbone, pairs.Faces, stop: stop), backbone.Settings.Embedding, pairs.Pairs);

    /// <summary><see cref="Verification.AucOfAll"/> of the same embeddings.</summary>
    public static double AucOfAll(Backbone backbone, FaceSet faces, CancellationToken stop = default) =>
        Verification.AucOfAll(Embedder.Embed(backbone, faces, stop: stop), backbone.Settings.Embedding, faces.Labels);
}
