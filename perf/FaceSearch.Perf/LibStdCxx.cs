using System.Buffers.Binary;
using System.Text;

namespace FaceSearch.Perf;

/// <summary>
/// libLibTorchSharp.so is linked against the libstdc++ of GCC 13 and refuses to load with an older one, for the sake of
/// one function that does nothing: std::ios_base_library_init(). Where the system's library is older, the copy in the
/// peer's output is made to ask for std::get_new_handler() instead, which takes nothing, changes nothing and is there since
/// GCC 4.9. An ELF file asks by name, by version and by a hash of the version; all three are replaced in place.
/// </summary>
static class LibStdCxx
{
    const string Library = "libstdc++.so.6";
    const string NewVersion = "GLIBCXX_3.4.32", OldVersion = "GLIBCXX_3.4.20";
    const string NewFunction = "_ZSt21ios_base_library_initv", OldFunction = "_ZSt15get_new_handlerv";
    static readonly string[] Folders = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/usr/lib", "/lib"];

    /// <summary>Fits a library to this system's libstdc++; the problem, or null.</summary>
    public static string? Fit(string path)
    {
        var system = Folders.Select(folder => Path.Combine(folder, Library)).FirstOrDefault(File.Exists);
        if (system is null) return $"there is no {Library} in {string.Join(", ", Folders)}: install your system's libstdc++";
        if (File.ReadAllBytes(system).AsSpan().IndexOf(Zero(NewVersion)) >= 0) return null;
        var bytes = File.ReadAllBytes(path);
        bool fits = Replace(bytes, Zero(NewFunction), Zero(OldFunction))
            & Replace(bytes, Zero(NewVersion), Zero(OldVersion))
            & Replace(bytes, Hash(NewVersion), Hash(OldVersion));
        if (!fits) return $"{system} is older than {NewVersion}, and {path} is not the library that is known to work with it all the same";
        File.WriteAllBytes(path, bytes);
        return null;
    }

    static bool Replace(byte[] bytes, byte[] from, byte[] to)
    {
        bool found = false;
        for (int at; (at = bytes.AsSpan().IndexOf(from)) >= 0; found = true)
        {
            bytes.AsSpan(at, from.Length).Clear();
            to.CopyTo(bytes, at);
        }
        return found;
    }

    static byte[] Zero(string text) => Encoding.ASCII.GetBytes(text + "\0");

    /// The System V ABI's hash of a version's name.
    static byte[] Hash(string name)
    {
        uint hash = 0;
        foreach (char c in name)
        {
            hash = (hash << 4) + c;
            uint high = hash & 0xF000_0000;
            hash = (hash ^ (high >> 24)) & ~high;
        }
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, hash);
        return bytes;
    }
}
