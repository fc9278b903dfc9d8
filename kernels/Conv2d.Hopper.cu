// Convolutions as in Conv2d.cu, on compute capability 9.0's tensor maps and wgmma (hopper.h). X.Data, Weight and Dy are tensor maps
// (CudaKernels.Conv2d.Hopper.cs): the map's brings 64 channels of what 64 outputs see through one tap by one instruction, zeros
// outside the map, so nobody computes addresses. The depth goes by in steps of 64 channels of a tap; past the pitch the
// map's are zero, so it does not matter that the weight's are then those of the next tap.
//
// conv2d_forward: [outputs] × [K], both operands along the depth.
// conv2d_data: stride 1 alone, where it is the forward product of the output's gradient, padded by kernel - 1 - padding, and the
// weights' last tap first, of which a box has 64 of K by 64 channels: across the depth.
// conv2d_weight: [K] × [tap, channel], both across the depth, which the outputs are; its columns go in boxes of 64 channels of a tap.
//
// With _normalised the boxes of the map are changed where they lie, between their arrival and the products: 64 threads of a warpgroup note for each
// line of its box which pixel it holds, a step ahead; each thread then takes four chunks, all of the same channels, and leaves alone those whose
// pixel does not exist. (The map's zeros outside cannot tell: a pixel may be zero.)
// Limits: hopper.h's; of 64 channels of a step that the pitch does not fill, the rest is wasted. _normalised: some 200 instructions
// of each thread a step, which only the other block of an SM hides.
#define LEAST_BLOCKS 2
#include "Conv2d.h"
#include "hopper.h"

// 64 channels, from Channel on, of a tap.
struct Tap {
    int Channel = 0, Row = 0, Column = 0;

    DEVICE void next(int pitch, int kernelWidth)
    {
        Channel += HopperDepth;
        if (Channel < pitch) return;
        Channel = 0;
        if (++Column < kernelWidth) return;
        Column = 0;
        Row++;
    }
};

// A map as the outputs of a convolution see it.
struct Sight {
    Map map;
    Window window;
    int Height, Width;   // of the outputs

    DEVICE Place place(int output) const { return Place(output, Height, Width); }
    DEVICE int row(const Place& output) const { return output.Row * window.Rows.PixelStep + window.Rows.Origin; }
    DEVICE int column(const Place& output) const { return output.Column * window.Columns.PixelStep + window.Columns.Origin; }

    // Which pixel of the map an output sees through a tap; negative for none.
    DEVICE int pixel(const Place& output, const Tap& tap) const
    {
        int h = row(output) + tap.Row, w = column(output) + tap.Column;
        bool exists = output.Image < map.Images && h >= 0 && h < map.Height && w >= 0 && w < map.Width;
        return exists ? (output.Image * map.Height + h) * map.Width + w : -1;
    }

    // What 64 outputs see through a tap.
    DEVICE void load(char* to, const Place& first, const Tap& tap, u64* arrivals) const
    {
        load_pixels(to, (const TensorMap*)map.Data, tap.Channel, column(first), row(first), first.Image, tap.Column, tap.Row, arrivals);
    }

    DEVICE int taps() const { return window.Rows.Count * window.Columns.Count; }
    DEVICE int chunks() const { return tiles(map.Pitch, HopperDepth); }   // of a tap
    DEVICE Tap tap(int box) const
    {
        int number = least(box / chunks(), taps() - 1);   // past the last a box repeats: its sums go nowhere
        return {box % chunks() * HopperDepth, number / window.Columns.Count, number % window.Columns.Count};
    }
};

// Two boxes of a map, of either warpgroup one, and what a deferred norm makes of them: a line is a pixel's.
template <bool normalise> struct Pixels {
    static constexpr bool Changes = normalise;
    static constexpr int Boxes = 2;
    const TensorMap* Map;
    Sight sight;
    OnLoad on;
    Normaliser normaliser;
    int channel;   // of this thread's chunks
    int* lines;    // [steps in turn][warpgroup][64]: the pixel of each line

    DEVICE Pixels(const Sight& sight, const OnLoad& on) : Map((const TensorMap*)sight.map.Data), sight(sight), on(on) {}

    static DEVICE int own() { return thread_index() % BoxSide; }   // the line that this thread notes
    DEVICE int& line(int step, int i) { return lines[(step % 2 * 2 + warpgroup()) * BoxSide + i]; }

    DEVICE void note(int step, const Place& output, const Tap& tap)
    {
        if (thread_index() % 128 < BoxSide) line(step, own()) = sight.pixel(output, tap);
    }

    DEVICE void take(int first)
    {
        channel = first + thread_index() % 8 * ChunkElements;
        if (channel < sight.map.Pitch) normaliser.load(on, channel);
    }

    DEVICE void change(char* boxes, int step)
    {
        if (channel >= sight.map.Pitch) return;
        UNROLL
        for (int i = 0; i < 4; i++) {
            int n = thread_index() % 128 / 8 + 16 * i, pixel = line(step, n);
            if (pixel < 0) continue;
            char* at = boxes + warpgroup() * BoxBytes + n * BoxLineBytes + ((thread_index() % 8 ^ (n & 7)) << 4);
            uint chunk[4];
            load16_shared(chunk, at);
            normaliser.apply(chunk, on, (i64)pixel * sight.map.Pitch + channel);
            store16_shared(at, chunk);
        }
    }
};

// Left operand [128 outputs][64 channels of a tap].
template <bool normalise> struct TapPixels : Pixels<normalise> {
    static constexpr bool AlongDepth = true;
    Place place;   // of the output whose line is this thread's; a thread that loads has its box's first
    Tap loading, coming;

    DEVICE TapPixels(const Sight& sight, const OnLoad& on, int output) : Pixels<normalise>(sight, on), place(sight.place(output + warpgroup() * BoxSide + this->own())) {}

    DEVICE void next(Tap& tap) const { tap.next(this->sight.map.Pitch, this->sight.window.Columns.Count); }

    DEVICE void load(char* to, int, u64* arrivals) { this->sight.load(to, place, loading, arrivals), next(loading); }
    DEVICE void begin(int* lines) { this->lines = lines, this->note(0, place, coming); }
    DEVICE void look(int step) { this->take(coming.Channel), next(coming), this->note(step + 1, place, coming); }
};

// Right operand, of weights [K][taps][Pitch], Row its first: forward [K][tap, channel]; of the data gradient [last tap first, K][channel].
template <bool forward, int boxes> struct WeightBoxes {
    static constexpr bool AlongDepth = forward, Changes = false;
    static constexpr int Boxes = boxes;
    const TensorMap* Map;
    int Row, Pitch, Depth, Taps;   // Depth: channels of the gathered map
    int tap, channel;

    DEVICE void load(char* to, int, u64* arrivals)
    {
        int row = Row + warpgroup() * BoxSide;
        if (forward) load_box(to, Map, tap * Pitch + channel, row, arrivals);
        else load_box(to, Map, (Taps - 1 - tap) * Pitch + row, channel, arrivals);
        channel += HopperDepth;
        if (channel >= Depth) channel = 0, tap++;
    }
};

DEVICE Window forward_window(const Conv2dArguments& args)
{
    return {Taps::forward(args.KernelHeight, args.Stride, args.Padding), Taps::forward(args.KernelWidth, args.Stride, args.Padding)};
}
DEVICE Window data_window(const Conv2dArguments& args)
{
    return {Taps::forward(args.KernelHeight, 1, args.KernelHeight - 1 - args.Padding), Taps::forward(args.KernelWidth, 1, args.KernelWidth - 1 - args.Padding)};
}

template <class S, bool forward, bool normalise> DEVICE void convolve(const Conv2dArguments& args)
{
    Outputs outputs(args, 1, 0);
    TilePlace tile(block_x(), tiles(outputs.Number), tiles(args.PitchY, S::Width));
    int first = tile.Row * TileSide, column = tile.Column * S::Width;
    Sight sight{args.X, forward ? forward_window(args) : data_window(args), args.OutHeight, args.OutWidth};
    TapPixels<normalise> x(sight, args.On, first);
    WeightBoxes<forward, S::Width / BoxSide> weight{(const TensorMap*)args.Weight, column, forward ? args.X.Pitch : args.PitchY, args.X.Pitch, sight.taps(), 0, 0};
    S sums;
    sums.multiply(x, weight, sight.taps() * sight.chunks(), shared_memory());
    outputs.store(args, sums, first, column);
    if (forward && args.Moments) tile_moments(sums, least(TileSide, outputs.Number - first), column, args.Moments + (i64)tile.Row * args.PitchY, args.PitchY);
}

KERNEL(conv2d_forward_hopper, TileThreads, Conv2dArguments) { convolve<HopperSums, true, false>(args); }
KERNEL(conv2d_forward_normalised_hopper, TileThreads, Conv2dArguments) { convolve<HopperSums, true, true>(args); }
KERNEL(conv2d_forward_narrow_hopper, TileThreads, Conv2dArguments) { convolve<HopperSumsOf<8>, true, false>(args); }
KERNEL(conv2d_forward_normalised_narrow_hopper, TileThreads, Conv2dArguments) { convolve<HopperSumsOf<8>, true, true>(args); }
KERNEL(conv2d_data_hopper, TileThreads, Conv2dArguments) { convolve<HopperSums, false, false>(args); }
KERNEL(conv2d_data_narrow_hopper, TileThreads, Conv2dArguments) { convolve<HopperSumsOf<8>, false, false>(args); }

// An operand of the weight gradient, [64 outputs][two boxes of 64 channels of a tap].
template <bool normalise> struct OutputPixels : Pixels<normalise> {
    static constexpr bool AlongDepth = false;
    Tap tap;
    int output;

    DEVICE OutputPixels(const Sight& sight, const OnLoad& on, int box, int output) : Pixels<normalise>(sight, on), tap(sight.tap(box + warpgroup())), output(output) {}

    DEVICE Place place(int step, int line) const { return this->sight.place(output + step * HopperDepth + line); }

    DEVICE void load(char* to, int step, u64* arrivals) { this->sight.load(to, place(step, 0), tap, arrivals); }
    DEVICE void begin(int* lines) { this->lines = lines, this->take(tap.Channel), look(-1); }
    DEVICE void look(int step) { this->note(step + 1, place(step + 1, this->own()), tap); }
};

// dweight of a slice of the outputs; slices are of whole 64. For up to 64 outputs the product is turned round, as in Conv2d.cu.
template <class S, bool normalise> DEVICE void conv2d_weight(const Conv2dArguments& args)
{
    constexpr bool narrow = S::Width < TileSide;
    Sight sight{args.X, forward_window(args), args.OutHeight, args.OutWidth};
    int taps = args.KernelHeight * args.KernelWidth, chunks = sight.chunks(), boxes = taps * chunks, outputs = args.X.Images * args.OutHeight * args.OutWidth;
    TilePlace tile(block_x(), tiles(narrow ? boxes : args.K, narrow ? 2 : TileSide), tiles(narrow ? args.K : boxes, narrow ? S::Width : 2));
    int box = 2 * (narrow ? tile.Row : tile.Column), k = narrow ? tile.Column * S::Width : tile.Row * TileSide;
    int first = block_y() * args.SliceOutputs, last = least(outputs, first + args.SliceOutputs), steps = (last - first + HopperDepth - 1) / HopperDepth;
    TensorTile<false, narrow ? S::Width / BoxSide : 2> dy{(const TensorMap*)args.Dy, k, first};
    OutputPixels<normalise> x(sight, args.On, box, first);
    S sums;
    if constexpr (narrow) sums.multiply(x, dy, steps, shared_memory());
    else sums.multiply(dy, x, steps, shared_memory());
    // Where either box begins in a row of the result, and how many of its channels exist.
    int pitch = args.X.Pitch, row = taps * pitch, at0 = box / chunks * pitch + box % chunks * BoxSide, at1 = (box + 1) / chunks * pitch + (box + 1) % chunks * BoxSide;
    int count0 = pitch - box % chunks * BoxSide, count1 = box + 1 < boxes ? pitch - (box + 1) % chunks * BoxSide : 0;
    float* slice = (float*)args.Y + (i64)block_y() * args.K * row;
    UNROLL
    for (int half = 0; half < 2; half++)
        UNROLL
        for (int j = 0; j < S::Columns; j++) {
            int r = S::row(0, half), c = S::column(j), along = narrow ? r : c, within = along % BoxSide;
            if (within >= (along < BoxSide ? count0 : count1)) continue;
            float *to = slice + (along < BoxSide ? at0 : at1) + within, x0 = sums.At[0][j][2 * half], x1 = sums.At[0][j][2 * half + 1];
            if (narrow) {
                if (k + c < args.K) to[(i64)(k + c) * row] = x0;
                if (k + c + 1 < args.K) to[(i64)(k + c + 1) * row] = x1;
            }
            else if (k + r < args.K) store_pair(to + (i64)(k + r) * row, {x0, x1}, 2, true);
        }
}

KERNEL(conv2d_weight_hopper, TileThreads, Conv2dArguments) { conv2d_weight<HopperSums, false>(args); }
KERNEL(conv2d_weight_normalised_hopper, TileThreads, Conv2dArguments) { conv2d_weight<HopperSums, true>(args); }
KERNEL(conv2d_weight_narrow_hopper, TileThreads, Conv2dArguments) { conv2d_weight<HopperSumsOf<8>, false>(args); }
KERNEL(conv2d_weight_normalised_narrow_hopper, TileThreads, Conv2dArguments) { conv2d_weight<HopperSumsOf<8>, true>(args); }
