using System.Runtime.CompilerServices;
using ILGPU;
using View = ILGPU.ArrayView<float>;

namespace FaceSearch.Tensors;

/// <summary>
/// The largest logit so far and the sum of exp(logit − it) over the classes that a thread has seen, of its four rows.
/// </summary>
struct OnlineSums
{
    public Quad Most, Sum;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Add(ref float most, ref float sum, float logit)
    {
        if (logit > most)
        {
            sum = sum * GpuMath.Exp(most - logit) + 1;
            most = logit;
        }
        // A NaN comes here, and stays in the sum.
        else sum += GpuMath.Exp(logit - most);
    }
}

/// <summary>
/// For 64 rows and a range of the classes: [range][2][batch] largest logit of another class than the row's own and sum of
/// exponentials. Also tells the cosine to the own class, which is in one range only. Exponentials are four of 512 operations an element.
/// </summary>
readonly struct LogSums(MatrixOperand unit, MatrixOperand centres, View inverses, ArrayView<int> labels, View cosines, View sums, float scale, int batch, int classes, int dimension, int tilesPerRange) : IKernel
{
    // A logit that adds nothing beside any real one.
    public const float Excluded = -1e6f;

    public void Run()
    {
        int firstRow = Grid.IdxX * ProductTile.Side, row = firstRow + Group.IdxX / 16 * 4, lane = Group.IdxX % 16;
        int own0 = Label(row), own1 = Label(row + 1), own2 = Label(row + 2), own3 = Label(row + 3);
        OnlineSums online = default;
        online.Most.X = online.Most.Y = online.Most.Z = online.Most.W = Excluded;
        int start = Grid.IdxY * tilesPerRange * ProductTile.Side, end = start + tilesPerRange * ProductTile.Side;
        if (end > classes) end = classes;
        for (int first = start; first < end; first += ProductTile.Side)
        {
            var dots = ProductTile.Multiply(unit, centres, firstRow, first, 0, 0, dimension);
            int column = first + lane * 4;
            Add(ref online.Most.X, ref online.Sum.X, dots.R0, row, column, own0);
            Add(ref online.Most.Y, ref online.Sum.Y, dots.R1, row + 1, column, own1);
            Add(ref online.Most.Z, ref online.Sum.Z, dots.R2, row + 2, column, own2);
            Add(ref online.Most.W, ref online.Sum.W, dots.R3, row + 3, column, own3);
        }
        Join(online);
    }

    int Label(int row) => row < batch ? labels[row] : -1;

    void Add(ref float most, ref float sum, Quad dots, int row, int column, int own)
    {
        Add(ref most, ref sum, dots.X, row, column, own);
        Add(ref most, ref sum, dots.Y, row, column + 1, own);
        Add(ref most, ref sum, dots.Z, row, column + 2, own);
        Add(ref most, ref sum, dots.W, row, column + 3, own);
    }

    void Add(ref float most, ref float sum, float dot, int row, int column, int own)
    {
        if (column >= classes) return;
        float cosine = dot * inverses[column];
        if (column == own) cosines[row] = cosine;
        else OnlineSums.Add(ref most, ref sum, scale * cosine);
    }

    /// Joins what the sixteen threads of a row found, in their order.
    void Join(OnlineSums online)
    {
        var most = SharedMemory.Allocate<Quad>(Gpu.Threads);
        var sum = SharedMemory.Allocate<Quad>(Gpu.Threads);
        most[Group.IdxX] = online.Most;
        sum[Group.IdxX] = online.Sum;
        Group.Barrier();
        int line = Group.IdxX, row = Grid.IdxX * ProductTile.Side + line;
        if (line >= ProductTile.Side || row >= batch) return;
        var mosts = most.Cast<float>();
        var parts = sum.Cast<float>();
        int from = line / 4 * 64 + line % 4;
        float largest = Excluded, total = 0;
        for (int thread = 0; thread < 16; thread++)
        {
            float m = mosts[from + thread * 4];
            if (m > largest) largest = m;
        }
        for (int thread = 0; thread < 16; thread++) total += parts[from + thread * 4] * GpuMath.Exp(mosts[from + thread * 4] - largest);
        sums[(long)Grid.IdxY * 2 * batch + row] = largest;
        sums[((long)Grid.IdxY * 2 + 1) * batch + row] = total;
    }
}

/// <summary>
/// (∂L/∂cos)/‖w‖ of a tile of classes and 64 rows, [class][batch], and Σ of that times cos over the rows, [row tile][class].
/// The rows of the product are the classes.
/// </summary>
readonly struct CosineGradients(MatrixOperand centres, MatrixOperand unit, View inverses, ArrayView<int> labels, View prepared, View cosines, View gradients, View along,
    float scale, int firstClass, int count, int stride, int batch, int dimension) : IKernel
{
    public void Run()
    {
        int line = Grid.IdxX * ProductTile.Side + Group.IdxX / 16 * 4, row = Grid.IdxY * ProductTile.Side + Group.IdxX % 16 * 4;
        var dots = ProductTile.Multiply(centres, unit, Grid.IdxX * ProductTile.Side, Grid.IdxY * ProductTile.Side, 0, 0, dimension);
        var parts = SharedMemory.Allocate<Quad>(Gpu.Threads);
        Quad part;
        part.X = Put(line, row, dots.R0);
        part.Y = Put(line + 1, row, dots.R1);
        part.Z = Put(line + 2, row, dots.R2);
        part.W = Put(line + 3, row, dots.R3);
        parts[Group.IdxX] = part;
        Group.Barrier();
        int own = Grid.IdxX * ProductTile.Side + Group.IdxX;
        if (Group.IdxX >= ProductTile.Side || own >= count) return;
        var floats = parts.Cast<float>();
        int from = Group.IdxX / 4 * 64 + Group.IdxX % 4;
        float sum = 0;
        for (int thread = 0; thread < 16; thread++) sum += floats[from + thread * 4];
        along[(long)Grid.IdxY * stride + own] = sum;
    }

    /// Writes the gradients of one class for four rows; their sum, each times its cosine.
    float Put(int line, int row, Quad dots)
    {
        if (line >= count) return 0;
        float inverse = inverses[line];
        return Put(line, row, dots.X, inverse) + Put(line, row + 1, dots.Y, inverse) + (Put(line, row + 2, dots.Z, inverse) + Put(line, row + 3, dots.W, inverse));
    }

    float Put(int line, int row, float dot, float inverse)
    {
        if (row >= batch) return 0;
        bool own = labels[row] == firstClass + line;
        float cosine = own ? cosines[row] : dot * inverse;
        float gradient = own ? prepared[2L * batch + row] * inverse : GpuMath.Exp(scale * cosine - prepared[row]) * (prepared[batch + row] * inverse);
        gradients[(long)line * batch + row] = gradient;
        return gradient * cosine;
    }
}
