using System.Runtime.CompilerServices;
using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>Four floats that are loaded, stored and multiplied together.</summary>
struct Quad
{
    public float X, Y, Z, W;

    /// this + factor·b
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Quad Plus(float factor, Quad b) => new()
    {
        X = GpuMath.MultiplyAdd(factor, b.X, X),
        Y = GpuMath.MultiplyAdd(factor, b.Y, Y),
        Z = GpuMath.MultiplyAdd(factor, b.Z, Z),
        W = GpuMath.MultiplyAdd(factor, b.W, W),
    };
}

/// <summary>Where an operand finds one of its lines: what can be computed once for all terms. Offset −1: there is no such line.</summary>
struct Line
{
    public long Offset;
    public int Row, Column, Part;
}

/// <summary>
/// One side of a matrix product: rows of the left matrix or columns of the right one ("lines"), whose elements along the depth
/// are met one by one. It need not be in memory as a matrix: a convolution's operand gathers pixels.
/// </summary>
interface IOperand
{
    /// Whether neighbouring elements of a line are neighbours in memory (1), or those of neighbouring lines (0).
    int AlongDepth { get; }
    Line LineOf(int line, int part);
    /// Element k of a line; 0 where there is no such line.
    float At(Line line, int k);
}

/// <summary>What becomes of an element of a product.</summary>
interface IResult
{
    void Put(int row, int column, int part, float value);
}

/// <summary>The sixteen elements of a tile that one thread has: rows 4·(thread/16) to +3, columns 4·(thread%16) to +3.</summary>
struct TileSums
{
    public Quad R0, R1, R2, R3;
}

/// <summary>
/// A 64×64 tile of a product, computed by the 256 threads of a group in steps of sixteen terms: each thread fetches four
/// elements of both sides into shared memory, then multiplies four by four of them in registers.
/// </summary>
static class ProductTile
{
    public const int Side = 64;
    const int Depth = 16, QuadsPerTerm = Side / 4 + 1, Stride = 4 * QuadsPerTerm;

    public static TileSums Multiply<A, B>(A a, B b, int firstRow, int firstColumn, int part, int start, int end)
        where A : struct, IOperand where B : struct, IOperand
    {
        // A quad more than the tile between terms, lest the columns of a fetch fall into few banks.
        var left = SharedMemory.Allocate<Quad>(Depth * QuadsPerTerm);
        var right = SharedMemory.Allocate<Quad>(Depth * QuadsPerTerm);
        var leftFloats = left.Cast<float>();
        var rightFloats = right.Cast<float>();
        int thread = Group.IdxX, row = thread / 16, column = thread % 16;
        // Of the four elements that a thread fetches: lines and terms, either may advance.
        int lineA = a.AlongDepth != 0 ? row : thread % Side, termA = a.AlongDepth != 0 ? column : thread / Side;
        int lineB = b.AlongDepth != 0 ? row : thread % Side, termB = b.AlongDepth != 0 ? column : thread / Side;
        int nextA = a.AlongDepth != 0 ? 16 : 0, deeperA = a.AlongDepth != 0 ? 0 : 4, nextB = b.AlongDepth != 0 ? 16 : 0, deeperB = b.AlongDepth != 0 ? 0 : 4;
        Line a0 = a.LineOf(firstRow + lineA, part), a1 = a.LineOf(firstRow + lineA + nextA, part), a2 = a.LineOf(firstRow + lineA + 2 * nextA, part), a3 = a.LineOf(firstRow + lineA + 3 * nextA, part);
        Line b0 = b.LineOf(firstColumn + lineB, part), b1 = b.LineOf(firstColumn + lineB + nextB, part), b2 = b.LineOf(firstColumn + lineB + 2 * nextB, part), b3 = b.LineOf(firstColumn + lineB + 3 * nextB, part);
        int toA = termA * Stride + lineA, toB = termB * Stride + lineB, stepA = nextA + deeperA * Stride, stepB = nextB + deeperB * Stride;
        TileSums sums = default;
        for (int k = start; k < end; k += Depth)
        {
            leftFloats[toA] = Fetch(a, a0, k + termA, end);
            leftFloats[toA + stepA] = Fetch(a, a1, k + termA + deeperA, end);
            leftFloats[toA + 2 * stepA] = Fetch(a, a2, k + termA + 2 * deeperA, end);
            leftFloats[toA + 3 * stepA] = Fetch(a, a3, k + termA + 3 * deeperA, end);
            rightFloats[toB] = Fetch(b, b0, k + termB, end);
            rightFloats[toB + stepB] = Fetch(b, b1, k + termB + deeperB, end);
            rightFloats[toB + 2 * stepB] = Fetch(b, b2, k + termB + 2 * deeperB, end);
            rightFloats[toB + 3 * stepB] = Fetch(b, b3, k + termB + 3 * deeperB, end);
            Group.Barrier();
            for (int term = 0; term < Depth; term++)
            {
                Quad p = left[term * QuadsPerTerm + row], q = right[term * QuadsPerTerm + column];
                sums.R0 = sums.R0.Plus(p.X, q);
                sums.R1 = sums.R1.Plus(p.Y, q);
                sums.R2 = sums.R2.Plus(p.Z, q);
                sums.R3 = sums.R3.Plus(p.W, q);
            }
            Group.Barrier();
        }
        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    static float Fetch<O>(O operand, Line line, int k, int end) where O : struct, IOperand => k < end ? operand.At(line, k) : 0;
}

/// <summary>Tiles of a product: rows along x, columns along y, parts times ranges of the depth along z.</summary>
readonly struct Product<A, B, R>(A a, B b, R result, int rows, int columns, int depth, int parts, int depthPerSplit) : IKernel
    where A : struct, IOperand where B : struct, IOperand where R : struct, IResult
{
    public void Run()
    {
        int firstRow = Grid.IdxX * ProductTile.Side, firstColumn = Grid.IdxY * ProductTile.Side, split = Grid.IdxZ / parts;
        int start = split * depthPerSplit, end = start + depthPerSplit < depth ? start + depthPerSplit : depth;
        var sums = ProductTile.Multiply(a, b, firstRow, firstColumn, Grid.IdxZ % parts, start, end);
        int row = firstRow + Group.IdxX / 16 * 4, column = firstColumn + Group.IdxX % 16 * 4;
        Put(row, column, sums.R0);
        Put(row + 1, column, sums.R1);
        Put(row + 2, column, sums.R2);
        Put(row + 3, column, sums.R3);
    }

    void Put(int row, int column, Quad values)
    {
        if (row >= rows) return;
        // With several ranges of the depth the result tells them apart by its part.
        int part = Grid.IdxZ;
        if (column < columns) result.Put(row, column, part, values.X);
        if (column + 1 < columns) result.Put(row, column + 1, part, values.Y);
        if (column + 2 < columns) result.Put(row, column + 2, part, values.Z);
        if (column + 3 < columns) result.Put(row, column + 3, part, values.W);
    }
}

/// <summary>The sums over ranges of the depth: [split][part][rows][columns].</summary>
readonly struct PartialResult(View partials, int rows, int columns) : IResult
{
    public void Put(int row, int column, int part, float value) => partials[((long)part * rows + row) * columns + column] = value;
}

/// <summary>Joins the ranges of the depth in their order.</summary>
readonly struct JoinSplits<R>(View partials, R result, int rows, int columns, int parts, int splits) : IPoint where R : struct, IResult
{
    public void At(long i)
    {
        float sum = 0;
        for (int split = 0; split < splits; split++) sum += partials[split * ((long)rows * columns * parts) + i];
        long line = i / columns;
        int part = (int)(line / rows);
        result.Put((int)(line - (long)part * rows), (int)(i - line * columns), part, sum);
    }
}

public sealed partial class Gpu
{
    // Tiles that fill a large GPU (a constant, as it decides the order of sums), and terms that make a range of the depth worth its partial result.
    const int FewTiles = 264, TermsPerSplit = 256;
    // The most floats for partial results: 256 MiB.
    const long PartialFloats = 1L << 26;

    /// result[part] = a[part] · b[part]ᵀ by lines. Where there are few tiles and many terms the depth is cut into ranges as well;
    /// how many follows from the shape alone, so that every sum has its order.
    void Multiply<A, B, R>(A a, B b, R result, int rows, int columns, int depth, int parts = 1)
        where A : struct, IOperand where B : struct, IOperand where R : struct, IResult
    {
        int rowTiles = (rows + ProductTile.Side - 1) / ProductTile.Side, columnTiles = (columns + ProductTile.Side - 1) / ProductTile.Side;
        long tiles = (long)rowTiles * columnTiles * parts, floats = (long)rows * columns * parts;
        int splits = (int)Math.Min(Math.Min(FewTiles / tiles, depth / TermsPerSplit), PartialFloats / floats);
        if (parts > MostParts || columnTiles > MostParts) throw new DeviceException($"{Name}: a product of {columns} columns in {parts} parts is larger than a grid holds");
        if (splits <= 1)
        {
            Launch(new Product<A, B, R>(a, b, result, rows, columns, depth, parts, depth), rowTiles, columnTiles, parts);
            return;
        }
        int depthPerSplit = (depth + splits - 1) / splits;
        using var partials = New(Shape.Of(splits, parts, rows, columns));
        Launch(new Product<A, B, PartialResult>(a, b, new(Of(partials), rows, columns), rows, columns, depth, parts, depthPerSplit), rowTiles, columnTiles, parts * splits);
        Pass(new JoinSplits<R>(Of(partials), result, rows, columns, parts, splits), floats);
    }
}
