using System.Runtime.CompilerServices;
using FaceSearch.Recognition;
using SkiaSharp;
using Xunit;

namespace FaceSearch.Tests.Data;

/// <summary>A folder that is gone after the test.</summary>
sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("facesearch-test").FullName;

    public string At(string name)
    {
        var path = System.IO.Path.Combine(Path, name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        return path;
    }

    public string Write(string name, string text)
    {
        File.WriteAllText(At(name), text);
        return At(name);
    }

    /// A picture whose pixels differ from place to place.
    public string Picture(string name, int width = 40, int height = 40, int tint = 0)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) bitmap.SetPixel(x, y, new SKColor((byte)(x * 5), (byte)(y * 5), (byte)tint));
        using var file = File.Create(At(name));
        bitmap.Encode(file, name.EndsWith("png", StringComparison.Ordinal) ? SKEncodedImageFormat.Png : SKEncodedImageFormat.Jpeg, 95);
        return At(name);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

static class RealFaces
{
    /// The developers' photographs, or the test is skipped by name.
    public static string Folder(string below)
    {
        var root = Environment.GetEnvironmentVariable("FACESEARCH_FACES") ?? Find();
        if (root is null || !Directory.Exists(System.IO.Path.Combine(root, below))) Assert.Skip("needs ../shared/faces");
        return System.IO.Path.Combine(root, below);
    }

    static string? Find()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (at is not null && !File.Exists(System.IO.Path.Combine(at.FullName, "FaceSearch.sln"))) at = at.Parent;
        return at?.Parent is { } parent ? System.IO.Path.Combine(parent.FullName, "shared", "faces") : null;
    }
}

static class TestCache
{
    /// Tests leave the user's cache alone.
    [ModuleInitializer]
    internal static void Redirect()
    {
        var folder = Directory.CreateTempSubdirectory("facesearch-cache").FullName;
        Environment.SetEnvironmentVariable("FACESEARCH_CACHE", folder);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
    }
}

static class Fails
{
    /// The error a user would see; it must contain all the words.
    public static void With(Action action, params string[] words)
    {
        var error = Assert.Throws<InputException>(action);
        foreach (var word in words) Assert.Contains(word, error.Message, StringComparison.Ordinal);
    }
}
