namespace FaceSearch.Tensors;

public sealed partial class Reference
{
    public override void Scale(Tensor x, float factor)
    {
        foreach (ref double v in Of(x)) v *= factor;
    }

    public override double SumOfSquares(Tensor x)
    {
        double sum = 0;
        foreach (double v in Of(x)) sum += v * v;
        return sum;
    }
}
