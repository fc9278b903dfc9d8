using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>
/// Fused are depthwise 3×3, and dense convolutions that are no Winograd's; a PReLU and a residual not together, since sums begin with the residual. What Winograd's
/// transforms make stays deferred: its reader, if another 3×3, copies it for the border anyway.
/// </summary>
public sealed unsafe partial class Cpu<V>
{
    internal override bool FusesConv2d(Tensor weight, Shape y, Sliding sliding, bool activates, bool adds) =>
        IsDepthwise(weight, sliding) ? !adds && IsDepthwise3x3(weight, sliding) : !(activates && adds) && !IsWinograd(weight.Shape, y, weight.Shape[1], sliding);

    internal override void Conv2dFused(Tensor x, Tensor weight, Tensor y, Sliding sliding, Normalised norm, Tensor? residual)
    {
        if (!IsDepthwise(weight, sliding))
        {
            using var folded = new Folded(norm, residual, y);
            Correlate(x, weight, y, Correlation.Forward(weight.Shape, y.Shape, sliding), new(weight.Shape, sliding.Groups, transposed: false), null, folded);
        }
        else if (sliding.Stride == 1) Depthwise3x3<Size1>(x, weight, y, turned: false, null, norm);
        else Depthwise3x3<Size2>(x, weight, y, turned: false, null, norm);
    }

    /// <summary>
    /// A norm without an activation as weights that are scaled and sums that begin with what it adds (and with the residual): nothing is left to be
    /// done when they are stored. (Done then, it waited for its own stores: maps often lie a multiple of 4 KiB apart, and the processor takes a residual's address for theirs.)
    /// </summary>
    sealed class Folded : IDisposable
    {
        readonly Tensor scale, shift;
        readonly Tensor? bend;
        readonly long residual;

        /// What tells norms apart.
        public Tensor Gamma { get; }

        public Folded(Normalised norm, Tensor? residual = null, Tensor? to = null)
        {
            Gamma = norm.Gamma;
            this.residual = residual is null ? 0 : Of(residual) - Of(to!);
            int blocks = CpuLayout.Blocks(norm.Source.Shape.Channels);
            var device = norm.Source.Device;
            (scale, shift) = (device.New(Shape.Of(blocks, 16)), device.New(Shape.Of(blocks, 16)));
            bend = norm.Slope is null ? null : device.New(Shape.Of(blocks, 16));
            for (int c = 0; c < blocks * 16; c += 16)
            {
                V factor = V.Load(Of(norm.Gamma) + c) * V.Load(Of(norm.Inverse) + c);
                V.Store(factor, Of(scale) + c);
                V.Store(V.Load(Of(norm.Beta) + c) - V.Load(Of(norm.Mean) + c) * factor, Of(shift) + c);
                if (bend is not null) V.Store(V.Load(Of(norm.Slope!) + c) - V.Create(1), Of(bend) + c);
            }
        }

        /// Packed weights of one phase.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Scale(Tensor packed, WeightChannels channels)
        {
            float* to = Of(packed);
            for (int slice = 0; slice < channels.Groups * channels.Slices; slice++)
            {
                int block = slice / channels.Slices * channels.OutBlocks + slice % channels.Slices * Pair, width = Math.Min(Pair, channels.OutBlocks - slice % channels.Slices * Pair) * 16;
                float* factors = Of(scale) + block * 16;
                for (float* end = to + (long)channels.Ins * channels.Area * width; to < end; to += width)
                    for (int lane = 0; lane < width; lane += 16) V.Store(V.Load(to + lane) * V.Load(factors + lane), to + lane);
            }
        }

        public void Begin(ref Reduction sum, int block)
        {
            sum.Shift = Of(shift) + block * 16;
            sum.Bend = bend is null ? null : Of(bend) + block * 16;
            (sum.HasResidual, sum.Residual, sum.AsksAhead) = (residual != 0, residual, residual != 0);
        }

        public void Dispose()
        {
            scale.Dispose();
            shift.Dispose();
            bend?.Dispose();
        }
    }
}
