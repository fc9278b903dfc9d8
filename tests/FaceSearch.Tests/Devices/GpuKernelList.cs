using System.Reflection;
using FaceSearch.Tensors;

namespace FaceSearch.Tests.Devices;

/// <summary>
/// Every kernel of the engine with the operands that it is launched with. Kernels over points, cells and columns are found by
/// themselves; products are listed here, as what is combined with what stands in no type.
/// </summary>
static class GpuKernelList
{
    static readonly Type[] products =
    [
        typeof(Product<MatrixOperand, MatrixOperand, MatrixResult>), typeof(Product<MatrixOperand, MatrixOperand, PartialResult>), typeof(Product<MatrixOperand, MatrixOperand, CentreResult>),
        typeof(Product<PixelOperand, PackedOperand, MapResult>), typeof(Product<PixelOperand, PackedOperand, PartialResult>),
        typeof(Product<ChannelOperand, TapOperand, WeightResult>), typeof(Product<ChannelOperand, TapOperand, PartialResult>),
    ];

    static IEnumerable<Type> Structs => typeof(Gpu).Assembly.GetTypes().Where(t => t.IsValueType);

    static IEnumerable<Type> Functions => Structs.Where(t => t.IsAssignableTo(typeof(IUnary)));

    public static Type[] All { get; } =
    [
        .. Structs.Where(t => t.IsAssignableTo(typeof(IKernel)) && !t.IsGenericType),
        .. Over(typeof(IPoint)).Select(t => typeof(PointPass<>).MakeGenericType(t)),
        .. Over(typeof(ICell)).Select(t => typeof(CellPass<>).MakeGenericType(t)),
        .. Over(typeof(IColumnSums)).SelectMany(t => new[] { typeof(ColumnPartials<>), typeof(ColumnFinish<>) }.Select(k => k.MakeGenericType(t))),
        .. products,
    ];

    /// Closed: over functions, or over what becomes of a product.
    static IEnumerable<Type> Over(Type contract) => Structs.Where(t => t.IsAssignableTo(contract)).SelectMany(t => !t.IsGenericType ? [t]
        : t.GetGenericArguments()[0].GetGenericParameterConstraints().Contains(typeof(IUnary)) ? Functions.Select(f => t.MakeGenericType(f))
        : Structs.Where(r => r.IsAssignableTo(typeof(IResult)) && r != typeof(PartialResult)).Select(r => t.MakeGenericType(r)));

    /// <summary>Where each number of a kernel lies, as the host writes it, and as one flat struct of the same numbers would have it. CUDA and OpenCL see views differently.</summary>
    public static (string Field, int Nested, int Flat)[] Layout(Type kernel, bool cuda)
    {
        Type view = cuda ? typeof(AddressAndLength) : typeof(OffsetAndLength);
        var fields = new List<(string, int, int)>();
        int flat = 0;
        Add(kernel, 0, kernel.Name);
        return [.. fields];

        void Add(Type type, int at, string name)
        {
            int size = Size(type);
            if (size > 0)
            {
                flat = RoundUp(flat, size);
                fields.Add((name, at, flat));
                flat += size;
                return;
            }
            foreach (var (field, offset) in Offsets(type, view)) Add(field.FieldType, at + offset, $"{name}.{field.Name}");
        }
    }

    static int RoundUp(int value, int to) => (value + to - 1) / to * to;

    /// Bytes of a number, 0 for a struct.
    static int Size(Type type) => type == typeof(long) || type == typeof(ulong) || type == typeof(double) ? 8 : type == typeof(int) || type == typeof(uint) || type == typeof(float) ? 4 : 0;

    readonly struct AddressAndLength(ulong address, long length)
    {
        public readonly ulong Address = address;
        public readonly long Length = length;
    }

    /// Of a buffer that is an argument of its own.
    readonly struct OffsetAndLength(int offset, long length)
    {
        public readonly int Offset = offset;
        public readonly long Length = length;
    }

    static Type Seen(Type type, Type view) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ILGPU.ArrayView<>) ? view : type;

    /// Either kind of view is aligned to eight bytes and takes sixteen.
    static int Alignment(Type type) => Size(type) is > 0 and var size ? size : Offsets(type).Select(f => Alignment(f.Field.FieldType)).DefaultIfEmpty(1).Max();

    /// <summary>Bytes of a struct as the host writes it.</summary>
    public static int Extent(Type type) => Size(type) is > 0 and var size ? size : RoundUp(Offsets(type).Select(f => f.Offset + Extent(f.Field.FieldType)).DefaultIfEmpty(0).Max(), Alignment(type));

    static IEnumerable<(FieldInfo Field, int Offset)> Offsets(Type type, Type? view = null)
    {
        int at = 0;
        foreach (var field in Seen(type, view ?? typeof(AddressAndLength)).GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            at = RoundUp(at, Alignment(field.FieldType));
            yield return (field, at);
            at += Extent(field.FieldType);
        }
    }
}
