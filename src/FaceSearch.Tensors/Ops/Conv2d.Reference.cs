namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    internal override void Conv2d(Tensor x, Tensor weight, Tensor y, Sliding sliding, Tensor? moments)
    {
        Of(y).Clear();
        Settled(x, values => ForProducts(x.Shape, weight.Shape, y.Shape, sliding, (ix, iw, iy) => Of(y)[iy] += Of(values)[ix] * Of(weight)[iw]));
        if (moments is not null) WriteMoments(y, Row(moments, 0), Row(moments, 1));
    }

    internal override void Conv2dData(Tensor dy, Tensor weight, Tensor dx, Sliding sliding)
    {
        Of(dx).Clear();
        ForProducts(dx.Shape, weight.Shape, dy.Shape, sliding, (ix, iw, iy) => Of(dx)[ix] += Of(dy)[iy] * Of(weight)[iw]);
    }

    internal override void Conv2dWeight(Tensor x, Tensor dy, Tensor dweight, Sliding sliding)
    {
        Of(dweight).Clear();
        Settled(x, values => ForProducts(x.Shape, dweight.Shape, dy.Shape, sliding, (ix, iw, iy) => Of(dweight)[iw] += Of(values)[ix] * Of(dy)[iy]));
    }

    /// All (input, weight, output) elements that meet in a product, by their indices.
    static void ForProducts(Shape x, Shape w, Shape y, Sliding sliding, Action<int, int, int> product)
    {
        int outputs = w[0] / sliding.Groups, inputs = w[1];
        for (int iy = 0; iy < y.Count; iy++)
        {
            int j = iy % y.Width, i = iy / y.Width % y.Height, k = iy / (y.Width * y.Height) % y.Channels, n = iy / (y.Width * y.Height * y.Channels);
            for (int iw = k * w.Cols; iw < (k + 1) * w.Cols; iw++)
            {
                int s = iw % w[3], r = iw / w[3] % w[2], c = iw / (w[3] * w[2]) % inputs + k / outputs * inputs;
                int row = i * sliding.Stride + r - sliding.Padding, column = j * sliding.Stride + s - sliding.Padding;
                if (row >= 0 && row < x.Height && column >= 0 && column < x.Width)
                    product(((n * x.Channels + c) * x.Height + row) * x.Width + column, iw, iy);
            }
        }
    }
}
