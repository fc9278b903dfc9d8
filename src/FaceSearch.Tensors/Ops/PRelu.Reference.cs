namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void PRelu(Tensor x, Tensor slope, Tensor y) => ForChannels(x.Shape, (c, i) =>
        Of(y)[i] = Of(x)[i] > 0 ? Of(x)[i] : Of(slope)[c] * Of(x)[i]);

    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope)
    {
        Of(dslope).Clear();
        ForChannels(x.Shape, (c, i) =>
        {
            bool positive = Of(x)[i] > 0;
            Of(dx)[i] = positive ? Of(dy)[i] : Of(slope)[c] * Of(dy)[i];
            if (!positive) Of(dslope)[c] += Of(x)[i] * Of(dy)[i];
        });
    }

    /// Every element of a map or matrix, with its channel (column).
    static void ForChannels(Shape s, Action<int, int> element)
    {
        int area = s.IsMap ? s.Height * s.Width : 1;
        for (int i = 0; i < s.Count; i++) element(i / area % s.Channels, i);
    }
}
