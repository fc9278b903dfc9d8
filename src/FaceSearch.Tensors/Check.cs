using System.Runtime.CompilerServices;

namespace FaceSearch.Tensors;

/// <summary>A tensor of the wrong shape or on the wrong device. The message names op, argument, shape and expectation.</summary>
public sealed class ShapeException(string message) : ArgumentException(message);

/// <summary>Every argument check of the engine, and its message.</summary>
static class Check
{
    public static void Map(Tensor x, [CallerMemberName] string op = "", [CallerArgumentExpression(nameof(x))] string name = "")
    {
        if (!x.Shape.IsMap) throw new ShapeException($"{op}: {name} must be a map [images, channels, height, width] but its shape is {x.Shape}");
    }

    public static void Rank(Tensor x, int rank, [CallerMemberName] string op = "", [CallerArgumentExpression(nameof(x))] string name = "")
    {
        if (x.Shape.IsMap || x.Shape.Rank != rank) throw new ShapeException($"{op}: {name} must have rank {rank} but its shape is {x.Shape}");
    }

    public static void MapOrMatrix(Tensor x, [CallerMemberName] string op = "", [CallerArgumentExpression(nameof(x))] string name = "")
    {
        if (!x.Shape.IsMap && x.Shape.Rank != 2) throw new ShapeException($"{op}: {name} must be a map or have rank 2 but its shape is {x.Shape}");
    }

    public static void Shape(Tensor x, Shape expected, [CallerMemberName] string op = "", [CallerArgumentExpression(nameof(x))] string name = "")
    {
        if (!x.Shape.Equals(expected)) throw new ShapeException($"{op}: {name} must have shape {expected} but its shape is {x.Shape}");
    }

    /// <summary>Of a parameter, or of the rows that the gradient names.</summary>
    public static void Gradient(Tensor gradient, Tensor parameter, [CallerMemberName] string op = "") =>
        Shape(gradient, gradient.OfRows is { } rows ? Tensors.Shape.Of(rows.Shape.Rows, parameter.Shape.Cols) : parameter.Shape, op);

    public static void SameDevice(Tensor x, Tensor y, [CallerMemberName] string op = "", [CallerArgumentExpression(nameof(y))] string name = "")
    {
        if (x.Device != y.Device) throw new ShapeException($"{op}: {name} must be on {x.Device.Name} but is on {y.Device.Name}");
    }

    public static void That(bool condition, string message, [CallerMemberName] string op = "")
    {
        if (!condition) throw new ShapeException($"{op}: {message}");
    }
}
