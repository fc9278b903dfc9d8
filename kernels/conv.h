// How convolutions read maps. Maps are NHWC in bf16, the channel pitch a multiple of 8 with zeros past the last channel, so
// that eight neighbouring channels are one chunk of 16 bytes, and a product's depth or column is (tap, channel).
#pragma once
#include "tile.h"

struct Map {
    const bf16* Data;
    int Images, Height, Width, Pitch;
};

// What is done to a map on its way in (Normalised.cs): act(Scale·x + Shift) + Residual, act a PReLU of that Slope, or none
// where it is null; Residual, if any, a map of the same layout. Vectors reach to the map's pitch, zeros past its last channel.
struct OnLoad {
    const float* Scale;
    const float* Shift;
    const float* Slope;
    const bf16* Residual;
};

DEVICE void load_eight(float (&to)[8], const float* from)
{
    uint two[2][4];
    load16(two[0], from);
    load16(two[1], from + 4);
    UNROLL
    for (int i = 0; i < 8; i++) to[i] = as_float(two[i / 4][i % 4]);
}

DEVICE void unpack(float (&to)[8], const uint (&from)[4])
{
    UNROLL
    for (int i = 0; i < 4; i++) to[2 * i] = low(from[i]), to[2 * i + 1] = high(from[i]);
}

DEVICE void pack(uint (&to)[4], const float (&from)[8])
{
    UNROLL
    for (int i = 0; i < 4; i++) to[i] = pack(from[2 * i], from[2 * i + 1]);
}

// A channel chunk's scales, shifts and slopes, and their use on a chunk of it that was loaded at `at` of the map.
struct Normaliser {
    float Scale[8], Shift[8], Slope[8];

    DEVICE void load(const OnLoad& on, int channel)
    {
        load_eight(Scale, on.Scale + channel);
        load_eight(Shift, on.Shift + channel);
        if (on.Slope) load_eight(Slope, on.Slope + channel);
        else
            UNROLL
            for (int i = 0; i < 8; i++) Slope[i] = 1;
    }

    DEVICE void apply(uint (&chunk)[4], const OnLoad& on, i64 at) const
    {
        float x[8], more[8] = {};
        uint residual[4];
        unpack(x, chunk);
        if (on.Residual) load16(residual, on.Residual + at), unpack(more, residual);
        UNROLL
        for (int i = 0; i < 8; i++) {
            float v = Scale[i] * x[i] + Shift[i];
            x[i] = (v > 0 ? v : Slope[i] * v) + more[i];
        }
        pack(chunk, x);
    }
};

// The taps that the outputs of one phase see along one direction: tap t reads place output·PixelStep + Origin + t·TapStep and
// meets the kernel's element First + t·Each. Forward there is one phase; for the data gradient outputs of equal remainder
// modulo the stride share their taps (src/FaceSearch.Tensors/Ops/Conv2d.Frame.cs), so that no product is with a zero between strides.
struct Taps {
    int Count, Origin, PixelStep, TapStep, First, Each;

    static DEVICE Taps forward(int kernel, int stride, int padding) { return {kernel, -padding, stride, 1, 0, 1}; }
    static DEVICE Taps backward(int kernel, int stride, int padding, int phase)
    {
        int first = (phase + padding) % stride;
        return {first < kernel ? (kernel - first + stride - 1) / stride : 0, (phase + padding) / stride, 1, -1, first, stride};
    }
};

struct Window { Taps Rows, Columns; };

// The two chunks of a map that a thread brings to a tile: copied, or through registers where they are normalised on the way.
template <class Layout_, bool normalise> struct Chunks {
    using Layout = Layout_;
    Map map;
    OnLoad on;
    int channel;
    i64 held_at[2];
    uint held[2][4];

    // From `at` of the map, or zeros where that is negative.
    DEVICE void take(char* tile, int i, i64 at)
    {
        if (!normalise) {
            copy_async(tile + Layout::offset(Layout::major(i), Layout::chunk(i)), map.Data + most(at, (i64)0), at < 0 ? 0 : 16);
            return;
        }
        held_at[i] = at;
        held[i][0] = held[i][1] = held[i][2] = held[i][3] = 0;
        if (at >= 0) load16(held[i], map.Data + at);
    }

    DEVICE void end(char* tile)
    {
        if (!normalise) return;
        if (held_at[0] >= 0 || held_at[1] >= 0) {
            Normaliser normaliser;
            normaliser.load(on, channel);
            UNROLL
            for (int i = 0; i < 2; i++)
                if (held_at[i] >= 0) normaliser.apply(held[i], on, held_at[i]);
        }
        UNROLL
        for (int i = 0; i < 2; i++) store16_shared(tile + Layout::offset(Layout::major(i), Layout::chunk(i)), held[i]);
    }
};

// Where an output lies in its phase's map.
struct Place {
    int Image, Row, Column;
    DEVICE Place(int output, int height, int width) : Image(output / (height * width)), Row(output / width % height), Column(output % width) {}
};

// Left operand [outputs][tap, channel] of a convolution: a thread's two outputs see the same tap at a time.
template <bool normalise> struct Gather : Chunks<DepthLast, normalise> {
    Window window;
    int chunks, row[2], column[2];   // chunks: of a tap
    i64 image[2];

    DEVICE Gather(const Map& map, const OnLoad& on, const Window& window, int first, int outputs, int height, int width) : window(window), chunks(map.Pitch / ChunkElements)
    {
        this->map = map;
        this->on = on;
        UNROLL
        for (int i = 0; i < 2; i++) {
            int output = first + DepthLast::major(i);
            Place place(output, height, width);
            image[i] = (i64)place.Image * map.Height;
            // Past the last output: a row that no tap brings back into the map.
            row[i] = output < outputs ? place.Row * window.Rows.PixelStep + window.Rows.Origin : -(1 << 28);
            column[i] = place.Column * window.Columns.PixelStep + window.Columns.Origin;
        }
    }

    DEVICE int steps() const { return (window.Rows.Count * window.Columns.Count * this->map.Pitch + TileDepth - 1) / TileDepth; }

    DEVICE void begin(char* tile, int step)
    {
        const Map& map = this->map;
        int q = step * (TileDepth / ChunkElements) + DepthLast::chunk(0), tap = q / chunks, tapRow = tap / window.Columns.Count, tapColumn = tap - tapRow * window.Columns.Count;
        this->channel = (q - tap * chunks) * ChunkElements;
        UNROLL
        for (int i = 0; i < 2; i++) {
            int h = row[i] + tapRow * window.Rows.TapStep, w = column[i] + tapColumn * window.Columns.TapStep;
            bool exists = tapRow < window.Rows.Count && h >= 0 && h < map.Height && w >= 0 && w < map.Width;
            this->take(tile, i, exists ? ((image[i] + h) * map.Width + w) * map.Pitch + this->channel : -1);
        }
    }
};

// Right operand [outputs][tap, channel] of the weight gradient, whose depth the outputs are: a thread always reads the same chunk of the same tap.
template <bool normalise> struct GatherLines : Chunks<DepthFirst, normalise> {
    int first, last, height, width, stride, rowOffset, columnOffset;
    bool exists;

    DEVICE GatherLines(const Map& map, const OnLoad& on, int column, int kernelHeight, int kernelWidth, int stride, int padding, int first, int last, int height, int width)
        : first(first), last(last), height(height), width(width), stride(stride)
    {
        this->map = map;
        this->on = on;
        int at = column + DepthFirst::chunk(0) * ChunkElements, tap = at / map.Pitch;
        exists = tap < kernelHeight * kernelWidth;
        this->channel = at - tap * map.Pitch;
        rowOffset = tap / kernelWidth - padding;
        columnOffset = tap % kernelWidth - padding;
    }

    DEVICE void begin(char* tile, int step)
    {
        const Map& map = this->map;
        UNROLL
        for (int i = 0; i < 2; i++) {
            int output = first + step * TileDepth + DepthFirst::major(i);
            Place place(output, height, width);
            int h = place.Row * stride + rowOffset, w = place.Column * stride + columnOffset;
            bool inside = exists && output < last && h >= 0 && h < map.Height && w >= 0 && w < map.Width;
            this->take(tile, i, inside ? (((i64)place.Image * map.Height + h) * map.Width + w) * map.Pitch + this->channel : -1);
        }
    }
};

// Right operand [tap, channel of the gathered map][columns] of the data gradient, from weights [K][kernel taps][pitch].
template <class Layout_> struct WeightLines {
    using Layout = Layout_;
    const bf16* Weight;
    int Pitch, Outputs, GatheredPitch, KernelTaps, KernelWidth, Column;
    Window window;

    DEVICE void begin(char* tile, int step)
    {
        UNROLL
        for (int i = 0; i < Layout::Each; i++) {
            int depth = step * TileDepth + Layout::major(i), tap = depth / GatheredPitch, k = depth - tap * GatheredPitch, tapRow = tap / window.Columns.Count, tapColumn = tap - tapRow * window.Columns.Count;
            int at = (window.Rows.First + tapRow * window.Rows.Each) * KernelWidth + window.Columns.First + tapColumn * window.Columns.Each, column = Column + Layout::chunk(i) * ChunkElements;
            bool exists = tapRow < window.Rows.Count && k < Outputs && column < Pitch;
            copy_async(tile + Layout::offset(Layout::major(i), Layout::chunk(i)), Weight + (exists ? ((i64)k * KernelTaps + at) * Pitch + column : 0), exists ? 16 : 0);
        }
    }
    DEVICE void end(char*) {}
};
