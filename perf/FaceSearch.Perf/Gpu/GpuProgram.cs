using System.Globalization;
using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>What perf/gpu/run.sh starts, part by part.</summary>
static class GpuProgram
{
    const string Usage = """
        facesearch-perf gpu sweep <seconds> <file.csv>            every kernel through the driver's compiler
        facesearch-perf gpu check <seconds> <file.csv>            ops and hand-written kernels against double precision
        facesearch-perf gpu bench <seconds> <folder> <script>     cases beside PyTorch (torch_bench.py); rows into the folder
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

    static int SmallStep()
    {
        using var device = (Gpu)OpenCuda();
        double difference = SelfCheck.Difference(device), cores = device.WhyNoTensorCores is null ? device.TensorCoreDifference() : 0;
        Console.WriteLine(FormattableString.Invariant($"a small network {difference:0.0E+0} from double precision, a product of tensor cores {cores:0.0E+0}"));
        return difference < 1e-4 && cores < 1e-4 ? 0 : 1;
    }

    static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
}
