namespace FaceSearch.Tensors;

public sealed unsafe partial class Cpu<V>
{
    internal override void Dropout(Tensor x, DropoutMask mask, Tensor y)
    {
        float* from = Of(x), to = Of(y);
        float scale = mask.Scale;
        if (!x.Shape.IsMap)
        {
            long count = x.Shape.Count;
            ForFloats(x.Shape, (start, end) =>
            {
                for (long i = start; i < Math.Min(count, end); i++) to[i] = mask.Keeps(i) ? from[i] * scale : 0;
            });
            return;
        }
        ForBlocks(x.Shape, (pixels, planes, area, channels) =>
        {
            for (int i = 0; i < area; i++, pixels += 16)
                for (int c = 0; c < 16; c++) to[pixels + c] = c < channels && mask.Keeps(planes + (long)c * area + i) ? from[pixels + c] * scale : 0;
        });
    }
}
