using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;
using Xunit;

namespace FaceSearch.Tests.Kernels;

/// <summary>What can be told of compiled kernels without a GPU, from their text.</summary>
public partial class PtxTests
{
    public static TheoryData<string> Compiled => new(Sources);

    static IEnumerable<string> Sources => Directory.GetFiles(Emulator.Folder, "*.cu").Select(path => Path.GetFileNameWithoutExtension(path)!).Order();

    static string Ptx(string source)
    {
        var ptx = CudaKernels.Ptx(source);
        Assert.SkipWhen(ptx is null, $"kernels/{source}.cu was not compiled: kernels/compile.sh ptx needs clang 19 or nvcc");
        return ptx;
    }

    [Theory, MemberData(nameof(Compiled))]
    public void IsForItsTargetAndCompleteInItself(string source)
    {
        string ptx = Ptx(source);
        Assert.Matches($@"\.target {CudaKernels.Target(source)}\b", ptx);
        Assert.DoesNotMatch(@"\bcall\b|\.func\b", ptx);
        Assert.DoesNotMatch(@"\.extern (?!\.shared)", ptx);
    }

    [Theory, MemberData(nameof(Compiled))]
    public void NothingLivesInLocalMemory(string source) => Assert.DoesNotMatch(@"\.local\b|__local_depot", Ptx(source));

    [Theory, MemberData(nameof(Compiled))]
    public void EveryKernelStatesItsThreads(string source)
    {
        var kernels = Kernels(Ptx(source));
        Assert.NotEmpty(kernels);
        Assert.All(kernels.Values, text => Assert.Matches(@"\.maxntid \d+", text));
        // Norms on load beside 64 sums: the compiler is held to registers for two blocks of an SM.
        if (source == "Conv2d.Hopper") Assert.All(kernels.Values, text => Assert.Matches(@"\.minnctapersm 2\b", text));
        Assert.Equal(Emulator.Written(source).Select(kernel => kernel.Name).Order(), kernels.Keys.Order());
    }

    /// Products: of 16 fragments in each half step fed by ldmatrix, or of 16 of the depth in each quarter of a step that tensor maps brought, of
    /// a convolution one that gathers. Across the depth lie weights of a data gradient, and both operands of a weight gradient.
    [Theory, MemberData(nameof(Compiled))]
    public void TensorCoresDoTheProducts(string source)
    {
        foreach (var (name, text) in Kernels(Ptx(source)))
        {
            bool hopper = name.EndsWith("_hopper", StringComparison.Ordinal), products = UsesTensorCores(name), narrow = name.Contains("_narrow", StringComparison.Ordinal);
            bool gathers = hopper && name.StartsWith("conv2d_", StringComparison.Ordinal);
            string across = name.StartsWith("conv2d_weight", StringComparison.Ordinal) ? "1, 1" : name.StartsWith("conv2d_data", StringComparison.Ordinal) ? "0, 1" : "0, 0";
            Assert.Equal(!products || hopper ? 0 : narrow ? 16 : 32, Regex.Count(text, @"mma\.sync\.aligned\.m16n8k16\.row\.col\.f32\.bf16\.bf16\.f32"));
            Assert.Equal(products && hopper ? 4 : 0, Regex.Count(text, $@"wgmma\.mma_async\.sync\.aligned\.m64n{(narrow ? 64 : 128)}k16\.f32\.bf16\.bf16 [^;]*, p, 1, 1, {across};"));
            Assert.Equal(gathers, Regex.IsMatch(text, @"cp\.async\.bulk\.tensor\.4d\.shared::cluster\.global\.im2col\.mbarrier::complete_tx::bytes \[%r\d+\], \[%rd\d+, \{%r\d+(, %r\d+){3}\}\], \[%r\d+\], \{%rs\d+, %rs\d+\};"));
            // Barriers made known, and, where a norm is applied to what has arrived, that.
            if (hopper) Assert.Equal(name.Contains("_normalised", StringComparison.Ordinal) ? 2 : 1, Regex.Count(text, @"fence\.proxy\.async\.shared::cta"));
            if (products) Assert.Matches(hopper ? @"cp\.async\.bulk\.tensor\.2d\.shared::cluster\.global\.mbarrier::complete_tx::bytes" : @"ldmatrix\.sync\.aligned\.m8n8\.x4", text);
        }
    }

    /// Sums that the tensor cores are still adding to must not be moved: between a fence and its wait there are only addresses and constants.
    [Theory, MemberData(nameof(Compiled))]
    public void NothingTouchesSumsInFlight(string source) =>
        Assert.All(Regex.Matches(Ptx(source), @"wgmma\.fence(?:.|\n)*?wgmma\.wait_group").Select(m => m.Value), text => Assert.DoesNotMatch(@"\b(mov|selp|add|mul|fma)[.\w]*\.f32|\bmov\.b32[^;]*%f", text));

    static bool UsesTensorCores(string kernel) => kernel.StartsWith("matmul_", StringComparison.Ordinal) || kernel.StartsWith("margin_forward", StringComparison.Ordinal)
        || kernel.StartsWith("margin_gradient", StringComparison.Ordinal) || kernel == "margin_centres" || kernel.StartsWith("conv2d_", StringComparison.Ordinal) && kernel != "conv2d_moments";

    [Theory, MemberData(nameof(Compiled))]
    public void ArgumentStructsAreAsLargeAsTheirTwins(string source)
    {
        var kernels = Kernels(Ptx(source));
        foreach (var (name, arguments) in Emulator.Written(source))
        {
            var twin = typeof(CudaKernels).Assembly.GetType($"FaceSearch.Tensors.{arguments}");
            Assert.True(twin is not null, $"{arguments} has no twin in C#");
            Assert.Equal(Marshal.SizeOf(twin), int.Parse(Regex.Match(kernels[name], $@"{name}_param_0\[(\d+)\]").Groups[1].Value));
        }
    }

    /// The text of each kernel of a file, by its name.
    static Dictionary<string, string> Kernels(string ptx) =>
        EntryPattern().Split(ptx).Skip(1).ToDictionary(text => text[..text.IndexOf('(')].Trim());

    [GeneratedRegex(@"\.visible \.entry ")]
    private static partial Regex EntryPattern();
}
