namespace FaceSearch.Tensors;

/// <summary>The numbers of a step that are others in the next.</summary>
/// <param name="Rate">What a gradient is multiplied by: SGD's rate, or AdamW's rate/(1 − β₁ᵗ).</param>
/// <param name="Keep">AdamW's 1 − rate·weightDecay.</param>
/// <param name="Root">AdamW's 1/√(1 − β₂ᵗ).</param>
/// <param name="Step">What dropout and Partial FC draw by.</param>
public readonly record struct StepNumbers(float Rate, Margin Margin, ulong Step, float Keep = 1, float Root = 1);

/// <summary>
/// What host and device give each other in a step of a training. Up go images, labels and the numbers that change from step to
/// step; down come the loss and the squares of the gradients. Ops that get the exchange take those from it. A device beside
/// the host has a fixed place for each, so that all steps are the same launches (<see cref="Device.Repeat"/>), is waited for
/// once a step, and lets the next images travel while a step runs.
/// </summary>
public abstract class StepExchange : IDisposable
{
    StepNumbers sent;

    private protected StepExchange(Device device, Shape images)
    {
        Images = device.NewInput(images);
        (Labels, NextLabels) = (new int[images.Images], new int[images.Images]);
    }

    /// <summary>Of the step that runs: [images, 3, side, side], their labels, and the numbers.</summary>
    public Tensor Images { get; }
    public int[] Labels { get; private set; }
    public StepNumbers Numbers { get; private set; }

    /// <summary>
    /// Of the next step, to be written before <see cref="Send"/>, in any order and by any thread: values as they lie in row-major
    /// NCHW, or for a device beside the host also bytes in NHWC, four in the place of a value.
    /// </summary>
    public abstract Memory<float> Next { get; }
    public int[] NextLabels { get; private set; }
    /// <summary>Whether the device works beside the host, so that the next step is made and sent while one runs.</summary>
    public virtual bool IsBeside => false;

    /// <summary>Starts the next step's images, labels and numbers on their way; <see cref="Next"/> may be written again after the <see cref="Take"/>.</summary>
    public void Send(StepNumbers numbers, bool bytes = false)
    {
        sent = numbers;
        Leave(numbers, bytes);
    }

    /// <summary>A step begins: what was sent is now its own.</summary>
    public void Take()
    {
        (Labels, NextLabels, Numbers) = (NextLabels, Labels, sent);
        Arrive();
    }

    /// <summary>Keeps the loss [1], before its memory goes to something else.</summary>
    public abstract void Tell(Tensor loss);

    /// <summary>
    /// Keeps the squares of all gradients and brings their common norm down to the limit (0: none). If that or the loss is
    /// not finite, optimisers that have this exchange move nothing. Says whether that is not known to be so.
    /// </summary>
    public abstract bool Clip(IReadOnlyList<Tensor> gradients, double limit);

    /// <summary>Waits for the loss and the square of each gradient.</summary>
    public abstract (double Loss, double[] Squares) Receive();

    private protected abstract void Leave(StepNumbers numbers, bool bytes);
    private protected abstract void Arrive();

    public virtual void Dispose() => Images.Dispose();
}

/// <summary>Where ops run as they are called: nothing travels.</summary>
sealed class HostExchange(Device device, Shape images) : StepExchange(device, images)
{
    readonly float[] next = new float[images.Count];
    double loss;
    double[] squares = [];

    public override Memory<float> Next => next;

    private protected override void Leave(StepNumbers numbers, bool bytes) { }
    private protected override void Arrive() => Images.Device.Write(Images, next);
    public override void Tell(Tensor loss) => this.loss = loss.Item();

    public override bool Clip(IReadOnlyList<Tensor> gradients, double limit)
    {
        squares = Images.Device.SumsOfSquares(gradients);
        double norm = Math.Sqrt(squares.Sum());
        if (!double.IsFinite(norm) || !double.IsFinite(loss)) return false;
        if (limit > 0 && norm > limit)
            foreach (var gradient in gradients) gradient.Device.Scale(gradient, (float)(limit / norm));
        return true;
    }

    public override (double Loss, double[] Squares) Receive() => (loss, squares);
}

public abstract partial class Device
{
    /// <summary>For images of that shape; <paramref name="byteValues"/> are the values that the 256 bytes stand for.</summary>
    public virtual StepExchange NewExchange(Shape images, float[] byteValues) => new HostExchange(this, images);
}
