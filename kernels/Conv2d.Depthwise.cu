// Depthwise convolutions (groups = channels) over NHWC maps, weights bf16 [kh·kw][channel pitch]: no product for tensor cores, each
// output sees one channel. A thread holds eight channels; a block 64 channels of 128 outputs, 32 at a time.
//
// depthwise_forward: batch norm, PReLU and residual on load where args.On says so, and each tile's moments, as in Conv2d.cu.
// depthwise_data: the kernel turned round. depthwise_weight: a slice of the outputs (blockIdx.y); slices are added by sum_slices.
// The kernels ending in _3 know their kernel is 3×3: its weights stay in registers, which brings the nine reads of a chunk from the
// L1 cache below the time memory takes; the others (7×7 over a last map) loop. Limit: memory, a read and a write of the maps.
#include "conv.h"

struct DepthwiseArguments {
    Map X;                 // forward, weight: the input; data: the output's gradient
    OnLoad On;             // forward, weight: Scale null where x is in memory as it is
    const bf16* Weight;    // forward, data: [taps][X.Pitch]
    const bf16* Dy;        // weight: [images, OutHeight, OutWidth, X.Pitch]
    void* Y;               // forward, data: bf16 [images, OutHeight, OutWidth, X.Pitch]; weight: fp32 slices [taps][X.Pitch]
    Pair* Moments;         // forward: [tiles of 128 outputs, X.Pitch], or null
    int OutHeight, OutWidth, KernelHeight, KernelWidth, Stride, Padding, SliceOutputs;
};

constexpr int DepthwiseThreads = 256, DepthwiseChannels = 64, OutputLanes = 32, OutputsEach = TileSide / OutputLanes;

DEVICE int first_channel() { return block_y() * DepthwiseChannels + thread_index() % 8 * ChunkElements; }
DEVICE int output_lane() { return thread_index() / 8; }

// The sums of what each of the 32 lanes brings for the block's channels, for thread t < 64 that of channel t. Scratch: [32][64] floats.
DEVICE float over_lanes(const float (&mine)[8])
{
    auto lanes = (float(*)[DepthwiseChannels])shared_memory();
    barrier();
    UNROLL
    for (int i = 0; i < 8; i++) lanes[output_lane()][thread_index() % 8 * 8 + i] = mine[i];
    barrier();
    float sum = 0;
    if (thread_index() < DepthwiseChannels)
        for (int l = 0; l < OutputLanes; l++) sum += lanes[l][thread_index()];
    return sum;
}

// Where an output's tap r lies in the map along one direction, or −1: forward, or backward, where only whole multiples of the stride meet.
template <bool data> DEVICE int source(int output, int r, int stride, int padding, int length)
{
    int at = data ? output + padding - r : output * stride + r - padding;
    if (data && stride > 1) at = at % stride == 0 ? at / stride : -1;
    return at < length ? at : -1;
}

DEVICE void multiply_add(float (&sum)[8], const uint (&a)[4], const uint (&b)[4])
{
    float x[8], y[8];
    unpack(x, a);
    unpack(y, b);
    UNROLL
    for (int i = 0; i < 8; i++) sum[i] += x[i] * y[i];
}

template <int kernel, bool data> DEVICE void depthwise(const DepthwiseArguments& args)
{
    constexpr int known = kernel > 0 ? kernel * kernel : 1;
    int channel = first_channel();
    i64 outputs = (i64)args.X.Images * args.OutHeight * args.OutWidth, first = (i64)block_x() * TileSide;
    bool exists = channel < args.X.Pitch;
    uint weights[known][4];
    if (exists && kernel > 0)
        UNROLL
        for (int t = 0; t < known; t++) load16(weights[t], args.Weight + t * args.X.Pitch + channel);
    Normaliser normaliser;
    if (exists && !data && args.On.Scale) normaliser.load(args.On, channel);
    float values[OutputsEach][8];
    UNROLL
    for (int n = 0; n < OutputsEach; n++) {
        i64 output = first + n * OutputLanes + output_lane();
        float sum[8] = {};
        if (exists && output < outputs) {
            Place place((int)output, args.OutHeight, args.OutWidth);
            auto add = [&](int r, int s, const uint(&weight)[4]) {
                int h = source<data>(place.Row, r, args.Stride, args.Padding, args.X.Height), w = source<data>(place.Column, s, args.Stride, args.Padding, args.X.Width);
                if (h < 0 || w < 0) return;
                uint chunk[4];
                i64 at = (((i64)place.Image * args.X.Height + h) * args.X.Width + w) * args.X.Pitch + channel;
                load16(chunk, args.X.Data + at);
                if (!data && args.On.Scale) normaliser.apply(chunk, args.On, at);
                multiply_add(sum, chunk, weight);
            };
            if (kernel > 0)
                UNROLL
                for (int t = 0; t < known; t++) add(t / most(kernel, 1), t % most(kernel, 1), weights[t]);
            else
                ROLLED
                for (int t = 0; t < args.KernelHeight * args.KernelWidth; t++) {
                    load16(weights[0], args.Weight + (i64)t * args.X.Pitch + channel);
                    add(t / args.KernelWidth, t % args.KernelWidth, weights[0]);
                }
            uint to[4];
            pack(to, sum);
            store16((bf16*)args.Y + output * args.X.Pitch + channel, to);
            unpack(sum, to);
        }
        UNROLL
        for (int i = 0; i < 8; i++) values[n][i] = sum[i];
    }
    if (data || !args.Moments) return;

    int count = (int)least((i64)TileSide, outputs - first), own = block_y() * DepthwiseChannels + thread_index();
    float mine[8] = {}, mean[8];
    UNROLL
    for (int n = 0; n < OutputsEach; n++)
        UNROLL
        for (int i = 0; i < 8; i++) mine[i] += values[n][i];
    float sum = over_lanes(mine);
    auto means = (float*)shared_memory();
    barrier();
    if (thread_index() < DepthwiseChannels) means[thread_index()] = sum / count;
    barrier();
    UNROLL
    for (int i = 0; i < 8; i++) mean[i] = means[thread_index() % 8 * 8 + i], mine[i] = 0;
    UNROLL
    for (int n = 0; n < OutputsEach; n++)
        if (n * OutputLanes + output_lane() < count)
            UNROLL
            for (int i = 0; i < 8; i++) mine[i] += (values[n][i] - mean[i]) * (values[n][i] - mean[i]);
    float deviations = over_lanes(mine);
    if (thread_index() < DepthwiseChannels && own < args.X.Pitch) args.Moments[(i64)block_x() * args.X.Pitch + own] = {sum, deviations};
}

KERNEL(depthwise_forward_3, DepthwiseThreads, DepthwiseArguments) { depthwise<3, false>(args); }
KERNEL(depthwise_forward, DepthwiseThreads, DepthwiseArguments) { depthwise<0, false>(args); }
KERNEL(depthwise_data_3, DepthwiseThreads, DepthwiseArguments) { depthwise<3, true>(args); }
KERNEL(depthwise_data, DepthwiseThreads, DepthwiseArguments) { depthwise<0, true>(args); }

// Of a 3×3 kernel all nine taps at once, dy read once; of others the tap blockIdx.z.
template <int kernel> DEVICE void depthwise_weight(const DepthwiseArguments& args)
{
    constexpr int taps = kernel > 0 ? kernel * kernel : 1;
    int channel = first_channel(), outputs = args.X.Images * args.OutHeight * args.OutWidth, first = block_x() * args.SliceOutputs, last = least(outputs, first + args.SliceOutputs);
    float sums[taps][8] = {};
    Normaliser normaliser;
    if (channel < args.X.Pitch && args.On.Scale) normaliser.load(args.On, channel);
    if (channel < args.X.Pitch)
        for (int output = first + output_lane(); output < last; output += OutputLanes) {
            Place place(output, args.OutHeight, args.OutWidth);
            uint dy[4], chunk[4];
            load16(dy, args.Dy + (i64)output * args.X.Pitch + channel);
            UNROLL
            for (int t = 0; t < taps; t++) {
                int tap = kernel > 0 ? t : block_z(), wide = kernel > 0 ? kernel : args.KernelWidth;
                int h = source<false>(place.Row, tap / wide, args.Stride, args.Padding, args.X.Height), w = source<false>(place.Column, tap % wide, args.Stride, args.Padding, args.X.Width);
                if (h < 0 || w < 0) continue;
                i64 at = (((i64)place.Image * args.X.Height + h) * args.X.Width + w) * args.X.Pitch + channel;
                load16(chunk, args.X.Data + at);
                if (args.On.Scale) normaliser.apply(chunk, args.On, at);
                multiply_add(sums[t], dy, chunk);
            }
        }
    int all = args.KernelHeight * args.KernelWidth, own = block_y() * DepthwiseChannels + thread_index();
    UNROLL
    for (int t = 0; t < taps; t++) {
        float sum = over_lanes(sums[t]);
        if (thread_index() < DepthwiseChannels && own < args.X.Pitch) ((float*)args.Y)[((i64)block_x() * all + (kernel > 0 ? t : block_z())) * args.X.Pitch + own] = sum;
    }
}

KERNEL(depthwise_weight_3, DepthwiseThreads, DepthwiseArguments) { depthwise_weight<3>(args); }
KERNEL(depthwise_weight, DepthwiseThreads, DepthwiseArguments) { depthwise_weight<0>(args); }
