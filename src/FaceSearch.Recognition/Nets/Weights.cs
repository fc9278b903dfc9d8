using FaceSearch.Tensors;

namespace FaceSearch.Recognition.Nets;

/// <summary>
/// The tensors of a network in the order its layers made them: parameters (trained) and buffers (running statistics).
/// Initial values are a function of the seed and the tensor's name alone, so that adding a layer changes no other layer.
/// </summary>
public sealed class Weights(Device device, ulong seed) : IDisposable
{
    readonly List<Tensor> parameters = [], buffers = [], fixedValues = [];

    public Device Device => device;
    public IReadOnlyList<Tensor> Parameters => parameters;
    public IReadOnlyList<Tensor> Buffers => buffers;

    /// <summary>A parameter drawn from a normal distribution of mean 0.</summary>
    public Tensor Normal(string name, Shape shape, double deviation)
    {
        ulong stream = Stream(name);
        return Add(parameters, name, shape, frozen: false, i => (float)(deviation * Noise.Normal(seed, stream, (ulong)i)));
    }

    /// <summary>A parameter of equal values; a frozen one keeps them.</summary>
    public Tensor Constant(string name, int length, float value, bool frozen = false) =>
        Add(parameters, name, Shape.Of(length), frozen, _ => value);

    /// <summary>A tensor that belongs to the network but is not trained.</summary>
    public Tensor Buffer(string name, int length, float value) => Add(buffers, name, Shape.Of(length), frozen: true, _ => value);

    /// <summary>Equal values that are neither trained nor saved.</summary>
    public Tensor Fixed(int length, float value) => Add(fixedValues, "", Shape.Of(length), frozen: true, _ => value);

    public void Dispose()
    {
        foreach (var tensor in parameters.Concat(buffers).Concat(fixedValues)) tensor.Dispose();
    }

    Tensor Add(List<Tensor> list, string name, Shape shape, bool frozen, Func<long, float> value)
    {
        var tensor = device.Parameter(name, shape, frozen);
        list.Add(tensor);
        // A meter holds no values: drawing millions for it would be the most of its time.
        if (device.IsMeter) return tensor;
        var values = new float[Math.Min(shape.Count, Shape.PieceLength)];
        foreach (var (first, count) in shape.Pieces())
        {
            // Centres of millions of identities take minutes on one core.
            if (shape.Count > Shape.PieceLength) Parallel.For(0, count, i => values[i] = value(first + i));
            else
                for (int i = 0; i < count; i++) values[i] = value(first + i);
            device.Write(tensor, first, values.AsSpan(0, count));
        }
        return tensor;
    }

    /// FNV-1a: the same on every machine and in every process, unlike string.GetHashCode.
    static ulong Stream(string name) => name.Aggregate(0xCBF29CE484222325UL, (hash, c) => (hash ^ c) * 0x100000001B3UL);
}
