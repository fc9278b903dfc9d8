using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;
using FaceSearch.Tests.Kernels;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>What a step is given is what was sent for it, however it came.</summary>
public class ExchangeTests
{
    static readonly FaceSet Faces = Synth.Generate(6, 8, 32, 2, seed: 3);

    /// Photographs' own bytes, or values that augmentation made: the same bits as the CPU's, and sent while the step before still has its own.
    [Theory, EveryDevice]
    public void ImagesAndLabelsAreThoseOfTheStep(string name, int threads) => AreThoseOfTheStep(() => TestDevice.Open(name, threads), v => v);

    [Fact]
    public void ImagesInBf16AreThoseOfTheStepRounded() => AreThoseOfTheStep(() => TestDevice.OpenBf16(), Bf16.Rounded);

    static void AreThoseOfTheStep(Func<Device> open, Func<float, float> stored)
    {
        foreach (var augmentation in new Augmentation[] { new(), new(Shift: false, Flip: false), new(Warp: 0.1, Jitter: 0.2, Erase: 0.5) })
        {
            using var device = open();
            var batches = new Batches(Faces, 32, batch: 5, seed: 1, augmentation);
            var (values, labels) = (new float[5 * 3 * 32 * 32], new int[5]);
            using var exchange = device.NewExchange(Shape.Map(5, 3, 32, 32), Batches.ByteValues);
            Send(0);
            for (int step = 0; step < 5; step++)
            {
                exchange.Take();
                Send(step + 1);
                batches.Fill(step, values, labels);
                Assert.Equal(values.Select(stored), exchange.Images.ToArray());
                Assert.Equal(labels, exchange.Labels);
                Assert.Equal((ulong)step, exchange.Numbers.Step);
            }

            void Send(int step)
            {
                bool bytes = batches.Fill(step, exchange);
                Assert.Equal(exchange.IsBeside && augmentation.Warp == 0, bytes);
                exchange.Send(new(0.1f, default, (ulong)step), bytes);
            }
        }
    }

    [Theory, EveryDevice]
    public void WhatGradientsComeToIsToldAndClipped(string name, int threads)
    {
        using var device = TestDevice.Open(name, threads);
        using var exchange = device.NewExchange(Shape.Map(1, 1, 1, 1), new float[256]);
        foreach (var (limit, loss, finite) in new[] { (0.0, 2f, true), (100, 2f, true), (6.5, 2f, true), (6.5, float.NaN, false), (0, float.PositiveInfinity, false) })
        {
            exchange.Send(new(0.5f, default, 0));
            exchange.Take();
            using Tensor told = device.From(Shape.Of(1), [loss]), p = device.From(Shape.Of(2), [1, 1]), q = device.From(Shape.Of(1), [1]), none = device.From(Shape.Of(2), [0, 0]);
            using Tensor dp = device.From(Shape.Of(2), [3, 4]), dq = device.From(Shape.Of(1), [12]);
            exchange.Tell(told);
            bool goes = exchange.Clip([dp, dq], limit);
            if (goes) device.Sgd(p, dp, none, 0.5f, 0, false, 0, exchange);
            var (after, squares) = exchange.Receive();
            Assert.Equal(loss, after);
            Assert.Equal([25, 144], squares);
            // The norm is 13.
            float share = limit > 0 && limit < 13 ? 0.5f : 1;
            Assert.Equal(finite ? [1 - 0.5f * share * 3, 1 - 0.5f * share * 4] : [1, 1], p.ToArray());
        }
    }
}
