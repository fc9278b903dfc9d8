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
        Assert.Contains("80.0 GiB of its memory are free", told);
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

    /// Convolutions of many channels, by maps that gather; the driver checks what it is told of them.
    [Fact]
    public void WideConvolutionsTakeTensorMapsThatGather()
    {
        Assert.SkipWhen(CudaKernels.Ptx("Conv2d.Hopper") is null, "this build has no clang 19");
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny, "--set", "Train.Precision=bf16", "--set", "Net.Width=2"]).Ended(0);
        var launches = Calls("launch").Select(l => Regex.Match(l, @"^launch (conv2d_\w+_hopper)@\d+ grid=\d+,\d+,1 block=256,1,1 shared=\d+ stream=[1-9]\d* args=([0-9a-f]+)$")).Where(m => m.Success).ToArray();
        Assert.Superset(new HashSet<string> { "conv2d_forward_normalised_hopper", "conv2d_weight_normalised_hopper", "conv2d_data_hopper" }, launches.Select(l => l.Groups[1].Value).ToHashSet());
        Assert.All(launches, l =>
        {
            var args = MemoryMarshal.Read<Conv2dArguments>(Convert.FromHexString(l.Groups[2].Value));
            Assert.Equal((0, 0, 0), (args.X.Data % 64, args.Weight % 64, args.Dy % 64));
            Assert.InRange(args.X.Pitch, 64, 1024);
        });
        Assert.Contains(Calls("pixel-map"), m => Regex.IsMatch(m, @"^pixel-map 0x[0-9a-f]+ 128x\d+x\d+x16 pitch=256 from=-1,-1 to=-1,-1 stride=1$"));
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

    // Not what embedding takes at once (16): the images of a step are the only copy of their size.
    const int Batch = 13, Header = 64, FaceBytes = 4 * Header + Batch * 3 * 16 * 16;

    /// <summary>What the driver was asked in each step of a training: from the kernels that take the images to the next ones.</summary>
    string[][] TrainingSteps(string precision = "fp32")
    {
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny, "--set", $"Train.Batch={Batch}", "--set", $"Train.Precision={precision}", "--set", "Head.Ramp=0"]).Ended(0);
        string[] lines = File.ReadAllLines(log);
        // On the stream of the images no kernel runs.
        string road = lines.Where(l => l.StartsWith($"copy {FaceBytes} ", StringComparison.Ordinal)).Select(l => l.Split(' ')[2]).Distinct().Single();
        Assert.DoesNotContain(lines, l => l.StartsWith("launch", StringComparison.Ordinal) && l.Contains($" {road} "));
        int[] starts = [.. Enumerable.Range(0, lines.Length).Where(i => Regex.IsMatch(lines[i], @"^stream=\d+ after \d+$"))];
        Assert.InRange(starts.Length, 4, 10_000);
        return [.. starts.Zip(starts[1..], (from, to) => lines[from..to])];
    }

    static string[] Kinds(string[] calls) => [.. calls.Select(c => c.StartsWith("stream", StringComparison.Ordinal) ? "after" : c.Split(' ')[0])];

    /// Launched one by one: every step the same hand-written kernels, nothing made anew, one wait.
    [Theory, InlineData("fp32"), InlineData("bf16")]
    public void AWarmStepStaysOnTheGpu(string precision)
    {
        Assert.SkipWhen(precision == "bf16" && CudaKernels.Ptx("MatMul") is null, "this build has no clang 19");
        program.Variables["FACESEARCH_REPLAY"] = "off";
        var steps = TrainingSteps(precision);
        // The first steps find their places in memory, and make tensor maps of them.
        foreach (var step in steps[4..])
        {
            Assert.DoesNotContain(step, c => c.StartsWith("alloc", StringComparison.Ordinal) || c.StartsWith("free", StringComparison.Ordinal) || c.StartsWith("module", StringComparison.Ordinal) || c.StartsWith("tensor-map", StringComparison.Ordinal));
            Assert.Equal(HandWrittenOf(steps[0]), HandWrittenOf(step));
            Assert.Equal(["after", "copy", "event", "copy", "wait"], Kinds(step).Where(k => k != "launch"));
        }
        string[] handWritten = HandWrittenOf(steps[0]);
        int Count(string kernel) => handWritten.Count(name => name.StartsWith(kernel, StringComparison.Ordinal));
        // Every convolution with its moments and gradients, but for the gradient by the faces.
        int convolutions = precision == "bf16" ? 13 : 0;
        Assert.Equal((convolutions, convolutions, convolutions, Math.Max(0, convolutions - 1)), (Count("conv2d_forward"), Count("conv2d_moments"), Count("conv2d_weight"), Count("conv2d_data")));
        Assert.Equal(precision == "bf16" ? HandWritten : [], handWritten.Where(name => !name.StartsWith("conv2d", StringComparison.Ordinal) && name != "sum_slices"));
    }

    /// Once a step: images up on a stream of their own while the GPU is at work, results down and waited for.
    [Fact]
    public void AStepIsOneGraphAndOneWait()
    {
        var steps = TrainingSteps();
        string[] plain = Kinds(steps[0]), recorded = Kinds(steps[1]);
        Assert.DoesNotContain("capture", plain);
        int begin = Array.IndexOf(recorded, "capture"), end = Array.IndexOf(recorded, "captured");
        // Between them nothing but what the first step launched too.
        int launches = plain.Count(k => k == "launch") - 2;
        Assert.Equal(["after", "launch", "launch"], recorded[..begin]);
        Assert.Equal(launches, end - begin - 1);
        Assert.All(recorded[(begin + 1)..end], k => Assert.Equal("launch", k));
        Assert.Equal(["graph", "copy", "event", "copy", "wait"], recorded[(end + 1)..]);
        foreach (var step in steps[2..])
        {
            Assert.Equal(["after", "launch", "launch", "graph", "copy", "event", "copy", "wait"], Kinds(step));
            Assert.StartsWith($"graph launches={launches} ", step[3]);
            Assert.StartsWith($"copy {FaceBytes} ", step[4]);
            // The next step waits for what this one sent.
            string sent = step[5].Split(' ')[1];
            Assert.NotEqual(step[0].Split(' ')[^1], sent);
        }
        // Two places take turns: one is read while the other is written.
        string[] places = [.. steps[2..].Select(step => step[4].Split(' ')[^1])];
        Assert.Equal(2, places.Distinct().Count());
        Assert.All(places.Zip(places[1..]), pair => Assert.NotEqual(pair.First, pair.Second));
        Assert.All(steps[1..].Zip(steps[2..]), pair => Assert.Equal(pair.First.First(c => c.StartsWith("event", StringComparison.Ordinal)).Split(' ')[1], pair.Second[0].Split(' ')[^1]));
    }

    /// Where there are no graphs, or they are not wanted.
    [Theory]
    [InlineData("FAKE_CUDA_NO_GRAPHS", "1")]
    [InlineData("FACESEARCH_REPLAY", "off")]
    public void AStepThatIsNotRecordedIsLaunched(string variable, string value)
    {
        program.Variables[variable] = value;
        var steps = TrainingSteps();
        foreach (var step in steps[1..])
        {
            var kinds = Kinds(step);
            Assert.Equal(Kinds(steps[0]).Count(k => k == "launch"), kinds.Count(k => k == "launch"));
            Assert.Equal(["after", "copy", "event", "copy", "wait"], kinds.Where(k => k != "launch"));
        }
    }

    /// Each launch between two events, and the host waits for nothing until a step is done.
    [Fact]
    public void AProfileRecordsEventsInPairs()
    {
        var told = program.Run(["profile", "train", "--device", "cuda", "--identities", "20", .. Facesearch.Tiny, "--steps", "3", "--warm-up", "1", "--peak", "1000", "--bandwidth", "100"]).Ended(0).Out;
        Assert.Contains("kernels: timed by events of the GPU", told);
        // A kernel's first launch compiles it, between the two.
        string[] lines = [.. File.ReadLines(log).Where(l => !Regex.IsMatch(l, "^(module|alloc)"))];
        int[] launches = [.. Enumerable.Range(1, lines.Length - 2).Where(i => lines[i].StartsWith("launch", StringComparison.Ordinal) && lines[i - 1].StartsWith("event", StringComparison.Ordinal))];
        string Stream(int i) => Regex.Match(lines[i], @"stream=\d+").Value;
        var events = new HashSet<string>();
        int last = -1;
        foreach (int i in launches)
        {
            Assert.Matches(@"^event \d+", lines[i + 1]);
            Assert.Equal(Stream(i), Stream(i - 1));
            Assert.Equal(Stream(i), Stream(i + 1));
            // A new step begins with events that the one before has been asked for.
            string first = lines[i - 1].Split(' ')[1];
            if (events.Contains(first)) events.Clear();
            else if (last >= 0) Assert.DoesNotContain(lines[last..i], l => l.StartsWith("wait", StringComparison.Ordinal));
            Assert.True(events.Add(first) && events.Add(lines[i + 1].Split(' ')[1]));
            last = i;
        }
        string table = File.ReadAllText(program.In("runs/profile/train-1/profile.csv"));
        Assert.Contains("Product<PixelOperand PackedOperand MapResult>", table);
        Assert.InRange(launches.Length, 4 * 100, 10_000);
        // Every launch takes as long as the driver says: one hundredth of a millisecond.
        Assert.All(table.Split('\n')[1..^2].Select(l => l.Split(',')), cells => Assert.Equal(0.01 * double.Parse(cells[3], CultureInfo.InvariantCulture), double.Parse(cells[4], CultureInfo.InvariantCulture), 1e-3));
    }

    /// The head alone, on tensor cores, with SGD; what memory it takes is what was planned.
    [Fact]
    public void TheHeadIsProfiledAsItIsTrained()
    {
        Assert.SkipWhen(CudaKernels.Ptx("MatMul") is null, "this build has no clang 19");
        string[] head = ["profile", "head", "--identities", "5000", "--batch", "64", "--dimension", "128", "--sample", "0.1", "--sgd", "--steps", "2", "--peak", "1000", "--bandwidth", "100"];
        var told = program.Run([.. head, "--device", "cuda", "--precision", "bf16"]).Ended(0).Out;
        Assert.Contains(Calls("launch"), l => l.StartsWith("launch margin_centres@", StringComparison.Ordinal));
        Assert.Matches(@"(?m)^margin_centres ", told);
        var memory = Regex.Match(told, @"tensors take at most ([\d.]+) MiB, planned ([\d.]+)");
        Assert.True(memory.Success, told);
        Assert.Equal(memory.Groups[1].Value, memory.Groups[2].Value);
        program.Run([.. head, "--device", "cpu", "--precision", "bf16"]).Refused("precision bf16 needs a GPU", "the CPU computes in fp32 alone");
    }

    [Fact]
    public void ATrainingTellsWhatItTakesAndIsRefusedWhereThatIsTooMuch()
    {
        Assert.Matches(@"(?m)^seed \d+: takes 64 MiB of 81920 that are free on cuda \(Fake Hopper\), for tensors of at most \d MiB$", program.Run(["train", "--device", "cuda", .. Facesearch.Tiny]).Ended(0).Out);
        program.Run(["train", "--device", "cuda", .. Facesearch.Tiny, "--set", "Data.SynthIdentities=300", "--set", "Data.SynthImages=30", "--set", "Data.Size=112", "--set", "Data.Margin=0", "--set", "Train.Batch=4096", "--set", "Net.Kind=iresnet100", "--set", "Net.Width=2"])
            .Refused("Fake Hopper) has 81920 MiB and this training takes", "a smaller Train.Batch needs less");
    }

    /// Of one step of the tiny network, in turn, beside its convolutions: a linear layer and the head.
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
        var arguments = Calls("launch").Where(l => l.Contains("grid=2,1,1 ")).Select(l => Convert.FromHexString(l[(l.IndexOf("args=", StringComparison.Ordinal) + 5)..])).Where(b => b.Length == 80).ToArray();
        Assert.NotEmpty(arguments);
        foreach (var bytes in arguments)
        {
            ulong Word(int i) => BitConverter.ToUInt64(bytes, 8 * i);
            for (int view = 0; view < 3; view++)
            {
                Assert.Equal(320u, Word(3 * view + 1));
                Assert.Contains(memory, m => Word(3 * view) >= m.Start && Word(3 * view) + 4 * 320 <= m.Start + m.Bytes);
                Assert.Equal(0u, Word(3 * view) % 256);
                // Floats, not bf16.
                Assert.Equal(0u, Word(3 * view + 2));
            }
            Assert.Equal(320u, Word(9));
        }
    }
}
