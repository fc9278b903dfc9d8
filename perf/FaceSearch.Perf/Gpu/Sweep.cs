using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using FaceSearch.Tensors;
using FaceSearch.Tests.Devices;

namespace FaceSearch.Perf;

/// <summary>Every kernel through the driver's compiler: registers, local memory, spills, shared memory, in a CSV.</summary>
static partial class Sweep
{
    // ILGPU writes no more than sm_80 whatever is asked; the driver does the rest.
    const int IlgpuMajor = 9;

    /// <summary>0 where the driver took all of them; those of ILGPU as far as the time allows.</summary>
    public static int Run(double seconds, string file)
    {
        var watch = Stopwatch.StartNew();
        GpuAccelerator.Cuda.Accelerator.Bind();
        var rows = new List<string> { "source,kernel,registers,local_bytes,shared_bytes,max_threads,spill_store_bytes,compile_ms" };
        int failed = 0, kernels = 0, spilled = 0;
        Console.WriteLine($"{"kernel",-34} {"registers",9} {"local",6} {"shared",6} {"spills",6}");
        foreach (var source in CudaKernels.Sources)
            Add(source, CudaKernels.Ptx(source)!, show: true);
        int left = GpuKernelList.All.Length;
        foreach (var kernel in GpuKernelList.All.Wanted(inDryRun: 20).TakeWhile(_ => watch.Elapsed.TotalSeconds < seconds))
        {
            Add("ilgpu", Ilgpu.CompilePtx(kernel, IlgpuMajor, 0), show: false);
            left--;
        }
        File.WriteAllLines(file, rows);
        Console.WriteLine($"ptx: {kernels} kernels compiled, {spilled} with local memory, {failed} texts refused{(left > 0 ? $", {left} of ILGPU left out" : "")}");
        return failed == 0 ? 0 : 1;

        void Add(string source, string ptx, bool show)
        {
            long start = Stopwatch.GetTimestamp();
            try
            {
                var compiled = CudaDriver.Jit(ptx, out string log);
                double ms = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                foreach (var k in compiled)
                {
                    kernels++;
                    if (k.LocalBytes > 0) spilled++;
                    string spills = Spills(log, k.Name);
                    rows.Add(string.Create(CultureInfo.InvariantCulture, $"{source},{k.Name},{k.Registers},{k.LocalBytes},{k.SharedBytes},{k.MaxThreads},{spills},{ms:0.0}"));
                    if (show || k.LocalBytes > 0) Console.WriteLine($"{k.Name,-34} {k.Registers,9} {k.LocalBytes,6} {k.SharedBytes,6} {spills,6}");
                }
            }
            catch (DeviceException e)
            {
                failed++;
                Console.WriteLine($"FAILED {source}: {e.Message}");
            }
        }
    }

    /// What the log says after the kernel's name; empty where it says nothing.
    static string Spills(string log, string kernel)
    {
        int at = log.IndexOf($"'{kernel}'", StringComparison.Ordinal);
        return at < 0 ? "" : SpillPattern().Match(log, at).Groups[1].Value;
    }

    [GeneratedRegex(@"(\d+) bytes spill stores")]
    private static partial Regex SpillPattern();
}
