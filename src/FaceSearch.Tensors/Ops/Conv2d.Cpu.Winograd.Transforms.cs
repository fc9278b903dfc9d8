using System.Diagnostics;
using System.Runtime.CompilerServices;
using DownFours = FaceSearch.Tensors.DownTile<FaceSearch.Tensors.Size4>;
using DownThrees = FaceSearch.Tensors.DownTile<FaceSearch.Tensors.Size3>;
using Fives = FaceSearch.Tensors.SevenPoints<FaceSearch.Tensors.Size5>;
using Fours = FaceSearch.Tensors.SevenPoints<FaceSearch.Tensors.Size4>;
using FoursAlone = FaceSearch.Tensors.SixPoints<FaceSearch.Tensors.Size4>;
using Threes = FaceSearch.Tensors.SixPoints<FaceSearch.Tensors.Size3>;
using UpFours = FaceSearch.Tensors.UpTile<FaceSearch.Tensors.Size4>;
using UpThrees = FaceSearch.Tensors.UpTile<FaceSearch.Tensors.Size3>;

namespace FaceSearch.Tensors;

/// <summary>
/// The tiles of a side: of five outputs; of four beside such; of four where the side has no fives, and of three beside those. With stride 2 of four outputs and of
/// three, and for the gradient of x of four and of three pairs of outputs.
/// </summary>
enum TileKind { Five, Four, FourAlone, Three, DownFour, DownThree, UpFour, UpThree }

/// <summary>What tiles of a kind do along one direction: vectors so many steps apart become others. Kinds that only use the weights of another have no G and A.</summary>
unsafe interface ITileForm
{
    static abstract int Inputs { get; }
    static abstract int Outputs { get; }
    static abstract int Points { get; }
    /// The points of weights: fewer, where points share them.
    static virtual int WeightPoints => throw new UnreachableException();
    /// The inputs of a row → the points (Bᵀ of the literature).
    static abstract void Input<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>;
    /// The points → the outputs of a row (Aᵀ).
    static abstract void Output<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V>;
    /// Gradients of a row → the points (A).
    static virtual void Gradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> => throw new UnreachableException();
    /// Three weights of a row → the points (G).
    static virtual void Weight<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> => throw new UnreachableException();
    /// The points → three weight gradients of a row (Gᵀ).
    static virtual void WeightGradient<V>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> => throw new UnreachableException();
}

/// <summary>One direction of a transform: Outs vectors from Ins.</summary>
unsafe interface ITransform
{
    static abstract int Ins<F>() where F : ITileForm;
    static abstract int Outs<F>() where F : ITileForm;
    static abstract void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm;
}

readonly unsafe struct InputTransform : ITransform
{
    public static int Ins<F>() where F : ITileForm => F.Inputs;
    public static int Outs<F>() where F : ITileForm => F.Points;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm => F.Input<V>(from, fromStep, to, toStep);
}

readonly unsafe struct OutputTransform : ITransform
{
    public static int Ins<F>() where F : ITileForm => F.Points;
    public static int Outs<F>() where F : ITileForm => F.Outputs;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm => F.Output<V>(from, fromStep, to, toStep);
}

readonly unsafe struct GradientTransform : ITransform
{
    public static int Ins<F>() where F : ITileForm => F.Outputs;
    public static int Outs<F>() where F : ITileForm => F.Points;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm => F.Gradient<V>(from, fromStep, to, toStep);
}

readonly unsafe struct WeightTransform : ITransform
{
    public static int Ins<F>() where F : ITileForm => 3;
    public static int Outs<F>() where F : ITileForm => F.WeightPoints;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm => F.Weight<V>(from, fromStep, to, toStep);
}

readonly unsafe struct WeightGradientTransform : ITransform
{
    public static int Ins<F>() where F : ITileForm => F.WeightPoints;
    public static int Outs<F>() where F : ITileForm => 3;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Apply<V, F>(float* from, long fromStep, float* to, long toStep) where V : struct, ILanes<V> where F : ITileForm => F.WeightGradient<V>(from, fromStep, to, toStep);
}

/// How far apart lie the rows and columns of a tile, neighbouring tiles, rows of tiles, and images.
readonly record struct TileSteps(long Row, long Column, long Tile = 0, long TileRow = 0, long Image = 0);

public sealed unsafe partial class Cpu<V>
{
    // Half-transformed tile, then a tile of outputs that the map cuts off.
    const int PatchOffset = 81 * 16, TransformFloats = PatchOffset + 64 * 16;

    /// <summary>T along both directions of all tiles of a form. `half` holds one tile between the directions.</summary>
    static void Transform<T>(WinogradForm form, float* from, in TileSteps fromBy, float* to, in TileSteps toBy, float* half) where T : ITransform
    {
        switch (form.Vertical)
        {
            case TileKind.Five: Transform<T, Fives>(form, from, fromBy, to, toBy, half); break;
            case TileKind.Four: Transform<T, Fours>(form, from, fromBy, to, toBy, half); break;
            case TileKind.FourAlone: Transform<T, FoursAlone>(form, from, fromBy, to, toBy, half); break;
            case TileKind.Three: Transform<T, Threes>(form, from, fromBy, to, toBy, half); break;
            case TileKind.DownFour: TransformStrided<T, DownFours, DownFours, DownThrees>(form, from, fromBy, to, toBy, half); break;
            case TileKind.DownThree: TransformStrided<T, DownThrees, DownFours, DownThrees>(form, from, fromBy, to, toBy, half); break;
            case TileKind.UpFour: TransformStrided<T, UpFours, UpFours, UpThrees>(form, from, fromBy, to, toBy, half); break;
            case TileKind.UpThree: TransformStrided<T, UpThrees, UpFours, UpThrees>(form, from, fromBy, to, toBy, half); break;
        }
    }

    static void Transform<T, H>(WinogradForm form, float* from, in TileSteps fromBy, float* to, in TileSteps toBy, float* half) where T : ITransform where H : ITileForm
    {
        if (form.Horizontal == TileKind.Five) Transform<T, H, Fives>(form, from, fromBy, to, toBy, half);
        else if (form.Horizontal == TileKind.Four) Transform<T, H, Fours>(form, from, fromBy, to, toBy, half);
        else if (form.Horizontal == TileKind.FourAlone) Transform<T, H, FoursAlone>(form, from, fromBy, to, toBy, half);
        else Transform<T, H, Threes>(form, from, fromBy, to, toBy, half);
    }

    static void TransformStrided<T, H, Four, Three>(WinogradForm form, float* from, in TileSteps fromBy, float* to, in TileSteps toBy, float* half)
        where T : ITransform where H : ITileForm where Four : ITileForm where Three : ITileForm
    {
        if (form.Horizontal is TileKind.DownFour or TileKind.UpFour) Transform<T, H, Four>(form, from, fromBy, to, toBy, half);
        else Transform<T, H, Three>(form, from, fromBy, to, toBy, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    static void Transform<T, H, W>(WinogradForm form, float* from, in TileSteps fromBy, float* to, in TileSteps toBy, float* half) where T : ITransform where H : ITileForm where W : ITileForm
    {
        int outs = T.Outs<W>();
        long fromRow = fromBy.Row, fromColumn = fromBy.Column, fromTile = fromBy.Tile, toRow = toBy.Row, toColumn = toBy.Column, toTile = toBy.Tile;
        for (int image = 0; image < form.Images; image++)
            for (int tileRow = 0; tileRow < form.Rows; tileRow++)
            {
                float* x = from + image * fromBy.Image + tileRow * fromBy.TileRow, y = to + image * toBy.Image + tileRow * toBy.TileRow;
                for (int tile = 0; tile < form.Columns; tile++, x += fromTile, y += toTile)
                {
                    for (int row = 0; row < T.Ins<H>(); row++) T.Apply<V, W>(x + row * fromRow, fromColumn, half + row * outs * 16, 16);
                    for (int column = 0; column < outs; column++) T.Apply<V, H>(half + column * 16, outs * 16, y + column * toColumn, toRow);
                }
            }
    }
}
