using System.Globalization;
using FaceSearch.Recognition;
using FaceSearch.Recognition.Data;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>What perf/gpu/run.sh starts, part by part.</summary>
static class GpuProgram
{
    const string Usage = """
        facesearch-perf gpu sweep <seconds> <file.csv>            every kernel through the driver's compiler
        facesearch-perf gpu check <seconds> <file.csv>            ops and hand-written kernels against double precision
        facesearch-perf gpu bench <seconds> <folder> <script>     cases beside PyTorch (torch_bench.py); rows into the folder
        facesearch-perf gpu search <seconds> <folder> <program>  a short search on the GPU, then on two threads of the CPU; a row into the folder
        facesearch-perf gpu step                                  one small step on the GPU, for compute-sanitizer
        facesearch-perf gpu table <folder>                        the rows as Markdown
        """;

    /// <summary>The setting Train.Precision of our device in benchmarks: what tensor cores do, they do.</summary>
    public const string Precision = Devices.Bf16;

    public static Device OpenCuda() => Devices.Open(Devices.Cuda, precision: Precision);

    /// <summary>The GPU's name, as in the file of its rows.</summary>
    public static string Machine => Devices.Gpus()[0].Split(',')[0];

    /// <summary>Of the sources: a bundle has no git.</summary>
    public static string Commit => Environment.GetEnvironmentVariable("FACESEARCH_COMMIT") ?? Perf.Machine.Commit();

    public static int Run(string[] words)
    {
        try
        {
            switch (words)
            {
                case ["sweep", var seconds, var file]:
                    return Sweep.Run(Number(seconds), file);
                case ["check", var seconds, var file]:
                    return Checks.Run(CudaDriver.WhyNot() is null ? Devices.Cuda : Devices.Simulated, Number(seconds), file);
                case ["bench", var seconds, var folder, var script]:
                    return GpuComparison.Run(Number(seconds), folder, script);
                case [GpuComparison.Verb, var name]:
                    return GpuComparison.Serve(name);
                case ["search", var seconds, var folder, var program]:
                    return SearchRace.Run(Number(seconds), folder, program);
                case ["step"]:
                    return SmallStep();
                case ["table", var folder]:
                    Console.Write(Table.Markdown(Results.Read(folder)));
                    return 0;
            }
        }
        catch (DeviceException e)
        {
            Console.Error.WriteLine($"left out: {e.Message}");
            return 1;
        }
        Console.Error.WriteLine(Usage);
        return 2;
    }

    /// Every kind of kernel once, small: ops in fp32, a product of tensor cores, and the first steps of a training in bf16, of which the second is recorded.
    static int SmallStep()
    {
        double difference, cores, floats = FirstLoss(Devices.Fp32), mixed = FirstLoss(Precision);
        using (var device = Devices.Open(Devices.Cuda)) difference = SelfCheck.Difference(device);
        using (var device = (Gpu)OpenCuda()) cores = device.TensorCoreDifference();
        Console.WriteLine(FormattableString.Invariant($"a small network {difference:0.0E+0} from double precision, a product of tensor cores {cores:0.0E+0}, a training's first loss {mixed:0.000} in bf16, {floats:0.000} in fp32"));
        return difference < 1e-4 && cores < 1e-4 && Math.Abs(mixed / floats - 1) < 0.1 ? 0 : 1;
    }

    static double FirstLoss(string precision)
    {
        var faces = Synth.Generate(20, 3, 32, 2, seed: 3);
        var settings = new Settings
        {
            Data = new() { Size = 32, Margin = 2 },
            Net = new() { Kind = "mobilefacenet", Width = 0.25, Depth = 0.5, Embedding = 64 },
            Head = new() { TrueScale = 16, FalseScale = 16, M2 = 0.1, Sample = 0.6 },
            Train = new() { Batch = 16, Clip = 0, Precision = precision },
        };
        using var device = Devices.Open(Devices.Cuda, precision: precision);
        using var training = Training.Start(settings, faces, device);
        training.Advance(3);
        return training.FirstLoss;
    }

    static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
