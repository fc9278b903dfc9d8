using System.Collections.Concurrent;
using System.Reflection;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Ops;

/// <summary>Operands of an op of inference on one device, freed together, and what every such op is asked.</summary>
sealed class Inferred(Device device) : IDisposable
{
    readonly List<Tensor> owned = [];

    public Tensor Make(Shape shape, int seed, Func<float, float>? change = null)
    {
        owned.Add(device.From(shape, [.. Expect.Normal(shape, seed).Select(v => change?.Invoke(v) ?? v)]));
        return owned[^1];
    }

    public FrozenNorm Norm(int channels, int seed, bool activated)
    {
        var s = Shape.Of(channels);
        return new(Make(s, seed), Make(s, seed + 1), Make(s, seed + 2), Make(s, seed + 3, v => 0.5f + v * v), activated ? Make(s, seed + 4) : null);
    }

    /// The map after a norm, not yet in memory.
    public Tensor Deferred(Tensor x, int seed, bool activated)
    {
        var norm = Norm(x.Shape.Channels, seed, activated);
        return x.BatchNorm(norm.Gamma, norm.Beta, norm.Mean, norm.Variance, training: false, norm.Slope);
    }

    public void Dispose() => owned.ForEach(t => t.Dispose());

    public static void SameAsReference<C>(Device device, Func<Device, C, float[]> run, IEnumerable<C> cases, Func<C, int> terms) where C : notnull
    {
        foreach (var of in cases)
        {
            // The norms round as well, once each.
            Expect.Close(References.GetOrAdd((run.Method, of), _ => ByReference(run, of)), run(device, of), 2 * Math.Pow(2, -24) * (8 + 4 * Math.Sqrt(terms(of))), $"{of} on {device.Name}");
            Assert.Equal(0, device.LiveBytes);
        }
    }

    // Computed for the first device; what takes longest here.
    static readonly ConcurrentDictionary<(MethodInfo Run, object Case), float[]> References = new();

    static float[] ByReference<C>(Func<Device, C, float[]> run, C of)
    {
        using var reference = new Reference();
        return run(reference, of);
    }

    public static void ThreadsDoNotChangeABit<C>(Func<Device, C, float[]> run, IEnumerable<C> cases)
    {
        using Device one = Cpu.Create(1), three = Cpu.Create(3);
        foreach (var of in cases) Assert.Equal(run(one, of), run(three, of));
    }
}
