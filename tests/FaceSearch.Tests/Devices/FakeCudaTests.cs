using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;
using FaceSearch.Tests.Cli;
using Xunit;

namespace FaceSearch.Tests.Devices;

/// <summary>
/// The program on a CUDA driver that runs no kernel but writes down what it is asked (native/fake-cuda): everything of the CUDA path
/// that is not the kernels themselves.
/// </summary>
public sealed class FakeCudaTests : IDisposable
{
    readonly Facesearch program = new();
    readonly string log;

    public FakeCudaTests()
    {
        var driver = Path.Combine(AppContext.BaseDirectory, "fake-cuda");
        Assert.SkipUnless(File.Exists(Path.Combine(driver, "libcuda.so.1")), "no C compiler made native/bin/fake-cuda/libcuda.so.1");
        log = program.In("cuda.log");
        program.Variables["LD_LIBRARY_PATH"] = driver;
        program.Variables["FAKE_CUDA_LOG"] = log;
    }

    public void Dispose() => program.Dispose();

    string[] Calls(string kind) => [.. File.ReadLines(log).Where(l => l.StartsWith(kind + " ", StringComparison.Ordinal))];

    [Fact]
    public void DoctorTellsOfTheGpu()
    {
        var told = program.Run("doctor").Ended(0).Out;
        Assert.Contains("the NVIDIA driver speaks CUDA 13.0; 1 GPU", told);
        Assert.Contains("Fake Hopper, 80.0 GiB, compute capability 9.0, 132 multiprocessors", told);
        Assert.Contains("auto is cuda here", told);
        // No kernel ran, and that shows.
        Assert.Contains("its results are WRONG", told);
    }

    /// The check of tensor cores: modules, announced shared memory, tensor maps on their boundaries, arguments as the twin struct lies.
    [Fact]
    public void HandWrittenKernelsStartAsTheDriverWants()
    {
        Assert.SkipWhen(CudaKernels.Ptx("MatMul.Hopper") is null, "this build has no clang 19");
        Assert.Contains("its tensor cores are WRONG", program.Run("doctor").Ended(0).Out);
        Assert.Contains(Calls("module"), m => m.Contains(" sm_80 ") && m.Contains("pack_rows"));
        Assert.Contains(Calls("module"), m => m.Contains(" sm_90a ") && m.Contains("matmul_nt_f32_hopper"));
        Assert.Equal(2, Calls("launch").Count(l => l.StartsWith("launch pack_rows@", StringComparison.Ordinal)));
        var launch = Assert.Single(Calls("launch"), l => l.StartsWith("launch matmul", StringComparison.Ordinal));
        var parts = Regex.Match(launch, @"^launch (matmul_nt_f32_hopper@\d+) grid=4,1,1 block=256,1,1 shared=(\d+) stream=([1-9]\d*) args=([0-9a-f]+)$");
        Assert.True(parts.Success, launch);
        Assert.Equal($"attribute {parts.Groups[1].Value} 8={parts.Groups[2].Value}", Assert.Single(Calls("attribute")));
        var args = MemoryMarshal.Read<MatMulArguments>(Convert.FromHexString(parts.Groups[4].Value));
        Assert.Equal(System.Runtime.CompilerServices.Unsafe.SizeOf<MatMulArguments>(), parts.Groups[4].Value.Length / 2);
        Assert.Equal((150, 200, 100, 1f, 200L), (args.Rows, args.Columns, args.Depth, args.Alpha, args.PitchC));
        // Two maps, each for the 104 elements that 100 take; their addresses are operands on a boundary of 64.
        Assert.All(Calls("tensor-map"), m => Assert.Matches(@"^tensor-map 0x[0-9a-f]+ 100x(150|200) pitch=208$", m));
        Assert.Equal(2, Calls("tensor-map").Length);
        Assert.Equal((0, 0), (args.A % 64, args.B % 64));
        Assert.NotEqual(args.A, args.B);
    }

    [Fact]
    public void AGpuThatIsNotVisibleIsToldOf()
    {
        program.Variables["FAKE_CUDA_NO_GPU"] = "1";
        Assert.Contains("no GPU is visible", program.Run("doctor").Ended(0).Out);
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny]).Refused("there is no CUDA device", "no GPU is visible");
        program.Run(["train", "--device", "auto", .. Facesearch.Tiny]).Ended(0);
    }

    [Fact]
    public void AFullGpuIsToldOf()
    {
        program.Variables["FAKE_CUDA_BYTES"] = $"{200 << 20}";
        program.Run("profile", "op", "add", "--shape", "64x64x64x64", "--device", "cuda", "--peak", "1", "--bandwidth", "1").Refused("Fake Hopper has no", "MiB left", "Train.Batch");
    }

    [Theory, InlineData("fp32"), InlineData("bf16")]
    public void AWarmStepStaysOnTheGpu(string precision)
    {
        Assert.SkipWhen(precision == "bf16" && CudaKernels.Ptx("MatMul") is null, "this build has no clang 19");
        // Not what embedding takes at once (16): the batch is the only copy of its size.
        const int batch = 13, faceBytes = batch * 3 * 16 * 16 * 4;
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny, "--set", $"Train.Batch={batch}", "--set", $"Train.Precision={precision}"]).Ended(0);
        string[] lines = File.ReadAllLines(log);
        int[] starts = [.. Enumerable.Range(0, lines.Length).Where(i => lines[i] == $"copy {faceBytes}")];
        Assert.InRange(starts.Length, 4, 10_000);
        for (int step = 1; step + 1 < starts.Length; step++)
        {
            string[] calls = lines[starts[step]..starts[step + 1]];
            Assert.DoesNotContain(calls, c => c.StartsWith("alloc", StringComparison.Ordinal) || c.StartsWith("free", StringComparison.Ordinal) || c.StartsWith("module", StringComparison.Ordinal) || c.StartsWith("tensor-map", StringComparison.Ordinal));
            // Up: faces, labels, the seed of the gradient, labels once more. Down, and waited for: the loss, and the squares of all gradients together.
            string[] copies = [.. calls.Where(c => c.StartsWith("copy", StringComparison.Ordinal)).Select(c => c["copy ".Length..])];
            Assert.Equal([$"{faceBytes}", $"{4 * batch}", "4", "4", $"{4 * batch}"], copies[..5]);
            Assert.Equal(6, copies.Length);
            Assert.Equal(2, calls.Count(c => c == "wait"));
            Assert.Equal(precision == "bf16" ? HandWritten : [], HandWrittenOf(calls));
        }
    }

    /// Of one step of the tiny network, in turn.
    static readonly string[] HandWritten =
    [
        "pack_rows", "pack_rows", "matmul_nt_f32_hopper",
        "pack_rows", "pack_rows", "margin_forward_hopper", "margin_rows", "margin_loss",
        "pack_rows", "margin_prepare", "pack_rows", "margin_gradient_hopper", "matmul_nn_f32", "margin_centres",
        "pack_rows", "pack_rows", "matmul_nn_f32", "pack_rows", "pack_rows", "matmul_tn_f32",
    ];

    static string[] HandWrittenOf(IEnumerable<string> calls) =>
        [.. calls.Select(c => Regex.Match(c, @"^launch ([a-z0-9_]+)@").Groups[1].Value).Where(name => CudaSources.Any(source => Kernels.Emulator.Written(source).Any(k => k.Name == name)))];

    static readonly string[] CudaSources = [.. Directory.GetFiles(Kernels.Emulator.Folder, "*.cu").Select(f => Path.GetFileNameWithoutExtension(f)!)];

    [Fact]
    public void LaunchesAndModulesAreWhatTheDriverTakes()
    {
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny]).Ended(0);
        string[] modules = Calls("module"), launches = Calls("launch");
        Assert.InRange(modules.Length, 20, 200);
        Assert.All(modules, m => Assert.Matches(@"^module 8\.\d sm_80 uniform-branches=0 entry=\w+$", m));
        var sizes = GpuKernelList.All.Select(GpuKernelList.Extent).ToHashSet();
        foreach (var launch in launches)
        {
            var parts = Regex.Match(launch, @"^launch \S+ grid=\d+,\d+,\d+ block=256,1,1 shared=0 stream=(\d+) args=([0-9a-f]*)$");
            Assert.True(parts.Success, launch);
            // Never the default stream, which waits for all others.
            Assert.NotEqual("0", parts.Groups[1].Value);
            Assert.Contains(parts.Groups[2].Length / 2, sizes);
        }
    }

    [Fact]
    public void ArgumentsAreAddressesLengthsAndNumbers()
    {
        // Maps of 2 images, 3 channels in 8 lanes, 4×5 pixels: 320 floats, two groups of threads.
        program.Run("profile", "op", "add", "--shape", "2x3x4x5", "--device", "cuda", "--gradients", "none", "--steps", "1", "--warm-up", "1", "--peak", "1", "--bandwidth", "1").Ended(0);
        var memory = Calls("alloc").Select(a => a.Split(' ')).Select(a => (Start: ulong.Parse(a[1][2..], NumberStyles.HexNumber, CultureInfo.InvariantCulture), Bytes: ulong.Parse(a[2], CultureInfo.InvariantCulture))).ToArray();
        var arguments = Calls("launch").Where(l => l.Contains("grid=2,1,1 ")).Select(l => Convert.FromHexString(l[(l.IndexOf("args=", StringComparison.Ordinal) + 5)..])).Where(b => b.Length == 56).ToArray();
        Assert.NotEmpty(arguments);
        foreach (var bytes in arguments)
        {
            ulong Word(int i) => BitConverter.ToUInt64(bytes, 8 * i);
            for (int view = 0; view < 3; view++)
            {
                Assert.Equal(320u, Word(2 * view + 1));
                Assert.Contains(memory, m => Word(2 * view) >= m.Start && Word(2 * view) + 4 * 320 <= m.Start + m.Bytes);
                Assert.Equal(0u, Word(2 * view) % 256);
            }
            Assert.Equal(320u, Word(6));
        }
    }
}
