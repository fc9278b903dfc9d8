using System.Runtime.CompilerServices;
using ILGPU;

namespace FaceSearch.Tensors;

/// <summary>
/// A kernel: a struct of its operands whose <see cref="Run"/> every thread of the grid executes. Groups have
/// <see cref="Gpu.Threads"/> threads. ILGPU compiles it with everything it calls into one function.
///
/// Operands may be structs of operands, but none may end in padding where another field follows: ILGPU 1.5.3 takes two structs for
/// one if they have the same fields after flattening, and then the host writes one layout and the kernel reads the other.
/// </summary>
interface IKernel
{
    void Run();
}

/// <summary>What a pass does to element i of a tensor, padding included.</summary>
interface IPoint
{
    void At(long i);
}

/// <summary>What a pass does to one column (channel) of one row (pixel), padding lanes included.</summary>
interface ICell
{
    void At(int row, int column);
}

/// <summary>One thread an element.</summary>
readonly struct PointPass<P>(P point, long count) : IKernel where P : struct, IPoint
{
    public void Run()
    {
        long i = (long)Grid.IdxX * Gpu.Threads + Group.IdxX;
        if (i < count) point.At(i);
    }
}

/// <summary>One thread a cell; a group covers `width` columns of 256/width rows.</summary>
readonly struct CellPass<C>(C cell, int rows, int columns, int width) : IKernel where C : struct, ICell
{
    public void Run()
    {
        int row = Grid.IdxX * (Gpu.Threads / width) + Group.IdxX / width, column = Grid.IdxY * width + Group.IdxX % width;
        if (row < rows && column < columns) cell.At(row, column);
    }
}

/// <summary>
/// How GPU kernels add up: the threads of a group put their parts into shared memory and half of them add the other half's,
/// again and again. The order is fixed, so that the same seed gives the same bits; atomic additions would not.
/// </summary>
static class GroupSum
{
    /// The sum over the group, for all its threads. Every thread must call it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Of(float part)
    {
        var parts = SharedMemory.Allocate<float>(Gpu.Threads);
        parts[Group.IdxX] = part;
        Group.Barrier();
        for (int half = Gpu.Threads / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half) parts[Group.IdxX] += parts[Group.IdxX + half];
            Group.Barrier();
        }
        float sum = parts[0];
        // Lest a thread that is ahead overwrite what others still read.
        Group.Barrier();
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static double Of(double part)
    {
        var parts = SharedMemory.Allocate<double>(Gpu.Threads);
        parts[Group.IdxX] = part;
        Group.Barrier();
        for (int half = Gpu.Threads / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half) parts[Group.IdxX] += parts[Group.IdxX + half];
            Group.Barrier();
        }
        double sum = parts[0];
        Group.Barrier();
        return sum;
    }

    /// The sum of the values of this thread and those before it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Running(int value)
    {
        var sums = SharedMemory.Allocate<int>(Gpu.Threads);
        sums[Group.IdxX] = value;
        Group.Barrier();
        for (int apart = 1; apart < Gpu.Threads; apart *= 2)
        {
            int before = Group.IdxX >= apart ? sums[Group.IdxX - apart] : 0;
            Group.Barrier();
            sums[Group.IdxX] += before;
            Group.Barrier();
        }
        return sums[Group.IdxX];
    }
}

public sealed partial class Gpu
{
    /// Threads of every group.
    internal const int Threads = 256;

    void Pass<P>(P point, long count) where P : struct, IPoint =>
        Launch(new PointPass<P>(point, count), checked((int)((count + Threads - 1) / Threads)));

    /// Every cell of a map or matrix, padding lanes included.
    void Pass<C>(C cell, GpuRows rows) where C : struct, ICell
    {
        int width = WidthOf(rows.Pitch), lines = Threads / width;
        Launch(new CellPass<C>(cell, rows.Rows, rows.Pitch, width), (rows.Rows + lines - 1) / lines, (rows.Pitch + width - 1) / width);
    }

    /// Columns of a group: a warp's, or fewer where there are fewer.
    static int WidthOf(int columns) => Math.Min(32, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)columns));
}
