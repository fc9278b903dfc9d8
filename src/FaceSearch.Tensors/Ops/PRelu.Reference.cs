namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void PReluBackward(Tensor x, Tensor slope, Tensor dy, Tensor dx, Tensor dslope)
    {
        Of(dslope).Clear();
        ForChannels(x.Shape, (c, i) =>
        {
            bool positive = Of(x)[i] > 0;
            if (!positive) Of(dslope)[c] += Of(x)[i] * Of(dy)[i];
            Of(dx)[i] = positive ? Of(dy)[i] : Of(slope)[c] * Of(dy)[i];
        });
    }

    /// Every element of a map or matrix, with its channel (column).
    static void ForChannels(Shape s, Action<int, int> element)
    {
        int area = s.IsMap ? s.Height * s.Width : 1;
        for (int i = 0; i < s.Count; i++) element(i / area % s.Channels, i);
    }
}
