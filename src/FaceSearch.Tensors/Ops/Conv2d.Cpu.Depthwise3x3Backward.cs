namespace FaceSearch.Tensors;

/// <summary>Both gradients of a depthwise 3×3 in one pass over x and dy. A tile is a few blocks of a few images.</summary>
public sealed unsafe partial class Cpu<V>
{
    void Depthwise3x3Backward(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight, Sliding sliding)
    {
        if (sliding.Stride == 1) Depthwise3x3Backward<Size1>(x, dy, weight, dx, dweight);
        else Depthwise3x3Backward<Size2>(x, dy, weight, dx, dweight);
    }

    /// Where x is deferred, dx also gets the sums that the norm's own backward pass begins with: all they are made of is at hand.
    void Depthwise3x3Backward<T>(Tensor x, Tensor dy, Tensor weight, Tensor dx, Tensor dweight) where T : ISize
    {
        bool turned = T.Value == 1;
        int images = dx.Shape.Images, channels = dx.Shape.Channels, blocks = CpuLayout.Blocks(channels), partials = Math.Min(images, MostPartials);
        using Tensor packed = Pack3x3(weight, turned), zeros = ZeroRow(dx.Shape.Width), sums = New(Shape.Of(partials, blocks, SlidingSums, 16));
        var planes = new GradientPlanes(dx.Shape, dy.Shape, Of(zeros), Streams(dx.Shape));
        var deferred = x.Deferred;
        var norms = dy.Unfinished is { } rest ? NormaliseBackward.OfBlocks(rest) : null;
        float* source = norms is null ? null : Of(dy.Unfinished!.Y.Source);
        int area = dy.Shape.Height * dy.Shape.Width;
        int together = PlanesOf(dx.Shape, blocks), chunks = (blocks + together - 1) / together;
        workers.Run(partials * chunks, (tile, worker) =>
        {
            int partial = tile / chunks, firstBlock = tile % chunks * together, endBlock = Math.Min(blocks, firstBlock + together);
            float* to = Of(sums) + (long)partial * blocks * SlidingSums * 16;
            for (int i = firstBlock * SlidingSums; i < endBlock * SlidingSums; i++) V.Store(V.Zero, to + i * 16);
            for (int image = images * partial / partials; image < images * (partial + 1) / partials; image++)
                for (int block = firstBlock; block < endBlock; block++)
                {
                    float* w = Of(packed) + block * 9 * 16, sum = to + block * SlidingSums * 16;
                    long plane = 16L * area * (image * blocks + block);
                    if (norms is not null) InputGradient<Whole>(norms[block], area, 16, 16, source + plane, Of(dy) + plane, Of(dy) + plane);
                    if (deferred is null) planes.Add<T, AsItIs<V>>(image * blocks + block, Of(x), Of(dy), w, Of(dx), sum, new());
                    else planes.Add<T, NormaliseOnLoad<V>>(image * blocks + block, Of(deferred.Source), Of(dy), w, Of(dx), sum, new(deferred, block));
                }
        });
        AddPartials(Of(sums), partials, (long)blocks * SlidingSums * 16);
        for (int c = 0; c < channels; c++)
            for (int tap = 0; tap < 9; tap++) Of(dweight)[c * 9 + tap] = Of(sums)[(c / 16 * SlidingSums + (turned ? 8 - tap : tap)) * 16 + c % 16];
        if (deferred is null) return;
        dx.NormSums = New(Shape.Of(3, channels));
        for (int i = 0; i < 3; i++)
            for (int c = 0; c < channels; c++) Of(dx.NormSums)[i * channels + c] = Of(sums)[(c / 16 * SlidingSums + 9 + i) * 16 + c % 16];
    }

    /// <summary>Planes of x and dx, and those of dy, by one row of zeros more.</summary>
    readonly struct GradientPlanes(Shape xShape, Shape yShape, float* zeros, bool streams)
    {
        public void Add<T, L>(int plane, float* x, float* dy, float* w, float* dx, float* sums, L load) where T : ISize where L : struct, IOnLoad<V>
        {
            long xPlane = (long)xShape.Height * xShape.Width * 16, yPlane = (long)yShape.Height * yShape.Width * 16;
            if (streams) Add<T, L, Yes>(x + plane * xPlane, dy + plane * yPlane, w, dx + plane * xPlane, sums, load);
            else Add<T, L, No>(x + plane * xPlane, dy + plane * yPlane, w, dx + plane * xPlane, sums, load);
        }

        void Add<T, L, S>(float* x, float* dy, float* w, float* dx, float* sums, L load) where T : ISize where L : struct, IOnLoad<V> where S : IChoice
        {
            int height = yShape.Height;
            long yRow = yShape.Width * 16L, xRows = T.Value * xShape.Width * 16L;
            for (int row = 0, rows; row < height; row += rows, x += rows * xRows, dx += rows * xRows)
            {
                // The first row has none above, the last none below; at step 2 only the last is alone, and may be half.
                rows = row == height - 1 || T.Value == 1 && row == 0 ? 1 : height - 1 - row;
                float* here = dy + row * yRow, above = row == 0 ? zeros : here - yRow, below = row == height - 1 ? zeros : here + yRow;
                if (T.Value == 1) SlideBack<L, S>(above, here, below, x, w, dx, sums, rows, xShape.Width, load);
                else SlideBack2<L, S>(here, below, x, w, dx, sums, rows, xShape.Width, row * 2 + 1 < xShape.Height, load);
            }
        }
    }
}
