using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Nets;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Nets;

public class BackboneTests
{
    /// <summary>Multiply-accumulates (of convolutions and linear layers) and parameters at 112×112, to the digits in which they are published.</summary>
    [Theory]
    [InlineData("iresnet18", 1, 512, 1e9, "2.610", "24.03")]
    [InlineData("iresnet34", 1, 512, 1e9, "4.460", "34.14")]
    [InlineData("iresnet50", 1, 512, 1e9, "6.309", "43.59")]
    [InlineData("iresnet100", 1, 512, 1e9, "12.090", "65.16")]
    [InlineData("iresnet18", 1, 256, 0, "", "17.60")]
    [InlineData("iresnet34", 1, 256, 0, "", "27.72")]
    [InlineData("iresnet50", 1, 256, 0, "", "37.17")]
    [InlineData("iresnet100", 1, 256, 0, "", "58.73")]
    [InlineData("mobilefacenet", 1, 128, 1e6, "221.0", "1.00")]
    [InlineData("mobilefacenet", 1, 512, 1e6, "221.2", "1.20")]
    [InlineData("mobilefacenet", 2, 512, 1e6, "437.5", "2.06")]
    [InlineData("mobilefacenet", 2, 256, 1e6, "437.4", "1.93")]
    [InlineData("mobilenetv2", 1, 256, 1e6, "315.6", "18.28")]
    public void CostsWhatIsPublished(string kind, double width, int embedding, double unit, string macs, string millions)
    {
        var cost = Backbone.Measure(new() { Kind = kind, Width = width, Embedding = embedding }, 112);
        if (unit > 0) Assert.Equal(macs, (cost.Macs / unit).ToString("F" + (macs.Length - macs.IndexOf('.') - 1), CultureInfo.InvariantCulture));
        Assert.Equal(millions, (cost.Parameters / 1e6).ToString("F2", CultureInfo.InvariantCulture));
    }

    /// <summary>Counted by hand at 48×48: stem and block at 24×24, two blocks each at 12×12 and 6×6 with their shortcuts, embedding.</summary>
    [Fact]
    public void MiniCostsWhatItsLayersCost()
    {
        const long embedding = 64 * 6 * 6 * 128;
        long macs = (432 + 4608) * 24 * 24 + (13824 + 18432 + 512) * 12 * 12 + (55296 + 73728 + 2048) * 6 * 6 + embedding;
        Assert.Equal(macs, Backbone.Measure(new(), 48).Macs);
    }

    public static TheoryData<string> Kinds => [.. Backbone.Kinds];

    [Theory, MemberData(nameof(Kinds))]
    public void EverySideWidthAndDepthMakesANetwork(string kind)
    {
        foreach (int side in new[] { 16, 32, 48, 112 })
            foreach (double scale in new[] { 0.25, 0.5, 1.3, 2 })
                foreach (bool attention in new[] { false, true })
                {
                    var smaller = Backbone.Measure(new() { Kind = kind, Width = scale, Depth = scale, SqueezeExcite = attention }, side);
                    var larger = Backbone.Measure(new() { Kind = kind, Width = scale * 2, Depth = scale * 2, SqueezeExcite = attention }, side);
                    Assert.InRange(smaller.Macs, 1, larger.Macs - 1);
                    Assert.InRange(smaller.Parameters, 1, larger.Parameters - 1);
                }
    }

    /// At inference convolutions are computed with what follows them, which a tape that records forbids.
    [Theory, MemberData(nameof(Kinds))]
    public void FusedInferenceIsTheSameFunction(string kind)
    {
        using var device = Cpu.Create(2);
        foreach (bool attention in new[] { false, true })
        {
            using var net = Backbone.Create(device, new() { Kind = kind, Width = 0.5, Depth = 0.5, SqueezeExcite = attention, Embedding = 24 }, 32, seed: 5);
            var rng = new Random(7);
            // None is 0 or 1, and all are so small that no sum of residuals runs away (attention would then turn its rounding into something else).
            foreach (var vector in net.Parameters.Concat(net.Buffers).Where(t => t.Shape.Rank == 1)) device.Write(vector, [.. Enumerable.Range(0, (int)vector.Shape.Count).Select(_ => 0.2f + 0.2f * (float)rng.NextDouble())]);
            var shape = Shape.Map(3, 3, 32, 32);
            var images = Expect.Normal(shape, 1);
            float[] Embed(bool record)
            {
                using var tape = new Tape(device, record);
                return net.Forward(tape.Input(shape, images), Pass.Inference).ToArray();
            }
            Expect.Close(Embed(record: true), Embed(record: false), 1e-5, $"{kind}, attention {attention}");
        }
    }

    [Fact]
    public void InitialWeightsDependOnSeedAndNameOnly()
    {
        using var device = new Reference();
        using var shallow = Backbone.Create(device, new(), 32, seed: 5);
        using var deep = Backbone.Create(device, new() { Depth = 2 }, 32, seed: 5);
        using var other = Backbone.Create(device, new(), 32, seed: 6);
        foreach (var (a, b) in shallow.Parameters.Select(p => (p, deep.Parameters.Single(q => q.Name == p.Name)))) Assert.Equal(a.ToArray(), b.ToArray());
        Assert.NotEqual(shallow.Parameters[0].ToArray(), other.Parameters[0].ToArray());
        Assert.Equal(shallow.Parameters.Count, shallow.Parameters.Select(p => p.Name).Distinct().Count());
    }

    [Fact]
    public void WeightsStartWithTheDeviationOfTheirFanOut()
    {
        using var device = new Reference();
        using var net = Backbone.Create(device, new(), 32, seed: 1);
        var weight = net.Parameters.Single(p => p.Name == "stage3.2.conv2.weight").ToArray();
        double deviation = Math.Sqrt(weight.Average(w => (double)w * w)), expected = Math.Sqrt(2.0 / (9 * 64));
        // The mean of 36,864 squares errs by √(2/36864) = 0.7 %, the root by half of it.
        Assert.InRange(deviation / expected, 0.985, 1.015);
    }

    [Theory]
    [InlineData("resnet", 48, "Net.Kind: no backbone 'resnet'; choose one of resnet-mini, mobilenetv2, mobilefacenet, iresnet18, iresnet34, iresnet50, iresnet100")]
    [InlineData("resnet-mini", 40, "Data.Size: 40 is not a multiple of 16; a backbone halves its input up to four times, choose for example 48 or 112")]
    public void NamesWhatIsWrong(string kind, int side, string message)
    {
        using var device = new Meter();
        Assert.Equal(message, Assert.Throws<InputException>(() => Backbone.Create(device, new() { Kind = kind }, side, 1)).Message);
    }
}
