using System.Reflection;
using System.Runtime.ExceptionServices;
using FaceSearch.Tensors;
using FaceSearch.Tests;
using FaceSearch.Tests.Kernels;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace FaceSearch.Perf;

/// <summary>
/// The tests of hand-written kernels and of every op against double precision, on the GPU of a machine that has no test runner: one
/// text of each check, here and in the tests. Memory is poisoned, inputs of kernels are drawn anew; what a bound is, each test says.
/// Without a GPU the same checks run on the emulator and the simulated GPU, where those are.
/// </summary>
static class Checks
{
    // What a test that skips itself says first (xunit.v3).
    const string SkipMark = "$XunitDynamicSkip$";

    sealed record Check(string Group, string Name, Func<string?> Run);

    /// <summary>Runs what fits into the time. Rows `group,check,result,words` go to the file; 0 where something passed and nothing failed.</summary>
    public static int Run(string device, double seconds, string file)
    {
        Console.WriteLine($"seed {Bf16.Seed}; kernels on {(OnGpu.Wanted ? "the GPU" : "the emulator")}, ops on {(device == Devices.Cuda ? "the GPU" : "the simulated GPU")}");
        var until = DateTime.UtcNow.AddSeconds(seconds);
        var rows = new List<(string Group, string Name, string Result, string Words)>();
        foreach (var check in All(device).Wanted(inDryRun: 16))
        {
            if (DateTime.UtcNow > until)
            {
                rows.Add((check.Group, check.Name, "not reached", "out of time"));
                continue;
            }
            var (result, words) = Outcome(check);
            rows.Add((check.Group, check.Name, result, words));
            if (result == "failed") Console.WriteLine($"FAILED {check.Group} {check.Name}: {words}");
        }
        File.WriteAllLines(file, [$"group,check,result,words", .. rows.Select(r => $"{r.Group},{Quoted(r.Name)},{r.Result},{Quoted(r.Words)}")]);
        foreach (var group in rows.GroupBy(r => r.Group)) Console.WriteLine($"{group.Key,-28} {Counts(group.Select(r => r.Result))}");
        Console.WriteLine($"correctness: {Counts(rows.Select(r => r.Result))} (seed {Bf16.Seed})");
        foreach (var why in rows.Where(r => r.Result == "skipped").Select(r => r.Words).Distinct()) Console.WriteLine($"skipped: {why}");
        return rows.Any(r => r.Result == "passed") && rows.All(r => r.Result != "failed") ? 0 : 1;
    }

    static string Counts(IEnumerable<string> results)
    {
        var all = results.ToList();
        return string.Join(", ", new[] { "passed", "failed", "skipped", "not reached" }.Select(kind => $"{all.Count(r => r == kind)} {kind}"));
    }

    static string Quoted(string text) => '"' + text.Replace('"', '\'').ReplaceLineEndings(" ") + '"';

    static (string Result, string Words) Outcome(Check check)
    {
        try
        {
            return check.Run() is { } skipped ? ("skipped", skipped) : ("passed", "");
        }
        catch (Exception e) when (e.Message.StartsWith(SkipMark, StringComparison.Ordinal))
        {
            return ("skipped", e.Message[SkipMark.Length..]);
        }
        catch (Exception e)
        {
            return ("failed", e.Message);
        }
    }

    /// Kernels and ops in turn, so that a short time sees some of each.
    static IEnumerable<Check> All(string device)
    {
        var types = typeof(TestDevice).Assembly.GetTypes();
        var kernels = types.Where(t => t.Namespace == typeof(Emulator).Namespace && t.Name.EndsWith("KernelTests", StringComparison.Ordinal)).SelectMany(t => Of(t, device, _ => true)).ToArray();
        var ops = types.Where(t => t.Namespace == "FaceSearch.Tests.Ops").SelectMany(t => Of(t, device, m => t.Name.EndsWith("Bf16Tests", StringComparison.Ordinal) || m.IsDefined(typeof(EveryDeviceAttribute)))).ToArray();
        for (int i = 0; i < Math.Max(kernels.Length, ops.Length); i++)
        {
            if (i < kernels.Length) yield return kernels[i];
            if (i < ops.Length) yield return ops[i];
        }
    }

    static IEnumerable<Check> Of(Type type, string device, Func<MethodInfo, bool> wanted)
    {
        foreach (var method in type.GetMethods().Where(m => m.IsDefined(typeof(FactAttribute)) && wanted(m)))
            foreach (var row in Rows(method))
            {
                object?[] arguments = row?.GetData() ?? [];
                if (method.IsDefined(typeof(EveryDeviceAttribute)) && arguments[0] is not (TestDevice.Simulated or TestDevice.Cuda)) continue;
                if (device == Devices.Cuda && arguments is [TestDevice.Simulated, ..]) continue;
                yield return new(type.Name, $"{method.Name}({string.Join(' ', arguments.Select(Text))})", () =>
                {
                    if (row?.Skip is { } reason) return reason;
                    Invoke(method, arguments);
                    return null;
                });
            }
    }

    static string? Text(object? argument) => argument is int[] numbers ? $"[{string.Join(' ', numbers)}]" : argument?.ToString();

    static void Invoke(MethodInfo method, object?[] arguments)
    {
        var test = method.IsStatic ? null : Activator.CreateInstance(method.DeclaringType!);
        try
        {
            method.Invoke(test, arguments);
        }
        catch (TargetInvocationException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
        }
        finally
        {
            (test as IDisposable)?.Dispose();
        }
    }

    static IEnumerable<ITheoryDataRow?> Rows(MethodInfo method)
    {
        if (!method.IsDefined(typeof(TheoryAttribute))) return [null];
        return method.GetCustomAttributes().OfType<IDataAttribute>().SelectMany(data => data.GetData(method, new DisposalTracker()).AsTask().GetAwaiter().GetResult());
    }
}
