using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using FaceSearch.Recognition;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>`facesearch doctor`: what this machine can do, and why not more.</summary>
static class DoctorVerb
{
    public static Command Create()
    {
        var command = new Command("doctor", "Say what this machine can do, and why not more") { SettingsOptions.Runs };
        command.SetAction(result => Run(result.GetValue(SettingsOptions.Runs)!));
        return command.WithExamples("facesearch doctor", "facesearch doctor --runs /data/runs");
    }

    static int Run(string runs)
    {
        Line("program", $"{Repeat.Version}{(Repeat.Commit.Length > 0 ? $", commit {Repeat.Commit}" : "")}");
        Line("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.OSArchitecture}, {RuntimeInformation.FrameworkDescription}");
        Line("processor", Processor());
        Line("threads", $"{Environment.ProcessorCount} that this process may use");
        Instructions();
        Line("memory", $"{Gib(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)} GiB for this process");
        Gpus();
        bool places = Place("runs", runs) & Place("cache", CacheFolder.Path);
        Rates();
        return places ? 0 : 1;
    }

    static void Instructions()
    {
        var used = Cpu.InstructionSets.First(s => s.Supported).Name;
        Line("instructions", $"{used} is used; {string.Join(", ", Cpu.InstructionSets.Select(s => $"{s.Name} {(s.Supported ? "yes" : "no")}"))}");
        if (used == Cpu.InstructionSets[0].Name) return;
        Line("", $"why not {Cpu.InstructionSets[0].Name}: the processor lacks it, or the runtime was told not to use it (DOTNET_Enable… variables)");
    }

    static void Gpus()
    {
        try
        {
            var gpus = Devices.Gpus();
            Line("gpu", $"the NVIDIA driver speaks CUDA {CudaVersion()}; {gpus.Count} GPU{(gpus.Count == 1 ? "" : "s")}, the first is used");
            foreach (var gpu in gpus) Line("", gpu);
            using var device = (Gpu)Devices.Open(Devices.Cuda);
            if (device.MemoryBytes is { } memory) Line("", $"{Gib(memory.Free)} GiB of its memory are free");
            double difference = SelfCheck.Difference(device);
            Line("", difference < 1e-4 ? FormattableString.Invariant($"its results are right: at most {difference:0.0E+0} from double precision, relative, over a small network and its gradients")
                : FormattableString.Invariant($"its results are WRONG by {difference:0.0E+0}, relative: use --device cpu, and tell us driver and GPU"));
            TensorCores(device);
            double peak = device.Peak(), copy = device.CopyRate();
            Line("", $"{Number(peak)} GF/s of multiply-adds without memory, {Number(copy)} GB/s copying its memory (read + written)");
            Share("matrix product 512×512×512", MachineRates.Multiply(device), peak);
            Share("convolution 3×3, 64 → 64 channels, 28×28", MachineRates.Convolution(device), peak);
        }
        catch (DeviceException e)
        {
            Line("gpu", e.Message);
        }
        Line("device", $"auto is {Devices.Resolve(Devices.Auto)} here; simulated: {Devices.WhyNotSimulated() ?? "GPU kernels run on the CPU, for tests"}");
    }

    static void TensorCores(Gpu device)
    {
        if (device.WhyNoTensorCores is { } reason)
        {
            Line("", $"tensor cores are not used: {reason}");
            return;
        }
        double difference = device.TensorCoreDifference();
        Line("", difference < 1e-5 ? FormattableString.Invariant($"its tensor cores are right: a product is at most {difference:0.0E+0} from double precision, relative")
            : FormattableString.Invariant($"its tensor cores are WRONG by {difference:0.0E+0}, relative: use fp32 alone, and tell us driver and GPU"));
    }

    static string CudaVersion() => Devices.CudaVersion()?.ToString() ?? "of an unknown version";

    /// Writes a file there and takes it away again.
    static bool Place(string name, string folder)
    {
        var full = Path.GetFullPath(folder);
        bool existed = Directory.Exists(full);
        try
        {
            Directory.CreateDirectory(full);
            var probe = Path.Combine(full, $".probe-{Environment.ProcessId}");
            File.WriteAllBytes(probe, new byte[4096]);
            File.Delete(probe);
            Line(name, $"{full}: writable, {Gib(new DriveInfo(full).AvailableFreeSpace)} GiB free");
            if (!existed) Directory.Delete(full);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Line(name, $"{full}: CANNOT be written: {e.Message}");
            return false;
        }
    }

    static void Rates()
    {
        using var device = Cpu.Create();
        var set = Cpu.InstructionSets.First(s => s.Supported).Name;
        double peak = MachineRates.Peak(set), copy = MachineRates.Copy();
        Line("one thread", $"{Number(peak)} GF/s of multiply-adds without memory: the roof");
        Line("", $"{Number(copy)} GB/s copying memory (read + written): passes over maps larger than the cache cannot be faster");
        Share("matrix product 512×512×512", MachineRates.Multiply(device), peak);
        Share("convolution 3×3, 64 → 64 channels, 28×28", MachineRates.Convolution(device), peak);
        Line("", "below the roof: loads, stores and tails of the kernel, caches, a busy neighbour (run again to see how much it varies)");
        if (MachineRates.RoundTrip() is var round && round > 0)
            Line("two threads", $"a flag goes to and fro in {Number(round)} ns: {(round < 150 ? "both cores share an L3 cache" : "each core has its own L3 cache, and what threads share costs more; a host may change that within minutes")}");
        if (Environment.ProcessorCount == 1) Line("", "one thread only: trials run one after the other");
    }

    static void Share(string what, double rate, double peak) =>
        Line("", $"{Number(rate)} GF/s {what}: {rate / peak:0 %} of the roof".Replace(" %", "%"));

    static string Processor()
    {
        const string info = "/proc/cpuinfo";
        var name = File.Exists(info) ? File.ReadLines(info).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':', 2)[1].Trim() : null;
        return name ?? Environment.GetEnvironmentVariable("PROCESSOR_IDENTIFIER") ?? RuntimeInformation.ProcessArchitecture.ToString();
    }

    static string Gib(long bytes) => (bytes / 1073741824.0).ToString("0.0", CultureInfo.InvariantCulture);

    static string Number(double value) => value.ToString("0.0", CultureInfo.InvariantCulture);

    static void Line(string name, string text) => Console.WriteLine($"{name,-12} {text}");
}
