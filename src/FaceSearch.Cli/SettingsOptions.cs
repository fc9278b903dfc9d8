using System.CommandLine;
using FaceSearch.Recognition;
using FaceSearch.Search;
using FaceSearch.Tensors;

namespace FaceSearch.Cli;

/// <summary>The options that several verbs share, and the settings they make.</summary>
static class SettingsOptions
{
    public static Option<string?> Config { get; } = new("--config", "-c")
    {
        Description = "YAML file of settings: `Head: { M2: 0.3 }` or `Head.M2: 0.3`",
        HelpName = "FILE",
    };

    public static Option<string[]> Set { get; } = new("--set", "-s")
    {
        Description = "one setting, over the file and the environment (FACESEARCH_HEAD_M2=0.3); may be repeated",
        HelpName = "path=value",
        DefaultValueFactory = _ => [],
    };

    public static Option<string> Runs { get; } = new("--runs")
    {
        Description = "folder of the run folders",
        HelpName = "DIR",
        DefaultValueFactory = _ => "runs",
    };

    public static Option<int> Threads { get; } = new("--threads")
    {
        Description = "threads of one training; changes no result",
        HelpName = "N",
        DefaultValueFactory = _ => Environment.ProcessorCount,
    };

    public static Option<string> Device { get; } = MakeDevice();

    public static Option<bool> Resume { get; } = new("--resume") { Description = "go on where an earlier run stopped" };

    static Option<string> MakeDevice()
    {
        var option = new Option<string>("--device")
        {
            Description = "where trainings run: auto is cuda where there is a GPU, else cpu; simulated is GPU kernels on the CPU, slow. Short for --set Train.Device",
            HelpName = "NAME",
            DefaultValueFactory = _ => "",
        };
        option.AcceptOnlyFromAmong([.. Devices.Names]);
        return option;
    }

    /// <summary>Adds --config and --set.</summary>
    public static Command WithSettings(this Command command)
    {
        command.Options.Add(Config);
        command.Options.Add(Set);
        return command;
    }

    /// <summary>Defaults (or those given) &lt; file &lt; environment &lt; --set.</summary>
    public static SearchSettings Settings(this ParseResult result, SearchSettings? defaults = null) =>
        SettingsSource.Load(defaults ?? new(), result.GetValue(Config), SettingsSource.Environment(), [.. result.GetValue(Set) ?? [], .. result.DeviceSetting()]);

    static string[] DeviceSetting(this ParseResult result) => result.GetValue(Device) is { Length: > 0 } device ? [$"Train.Device={device}"] : [];

    /// <summary>The settings with the device that `auto` is on this machine: what is written down must say where the bits are from. Refuses a precision that it lacks.</summary>
    public static SearchSettings OnThisMachine(this SearchSettings settings)
    {
        string device = Devices.Resolve(settings.Train.Device);
        Devices.CheckPrecision(device, settings.Train.Precision);
        return settings with { Train = settings.Train with { Device = device } };
    }

    /// <summary>The stored settings of what is gone on with; refuses others, which would be ignored.</summary>
    /// <param name="what">study or run</param>
    /// <param name="name">how to name another one</param>
    public static SearchSettings SameSettings(this ParseResult result, SearchSettings stored, string what, string name)
    {
        var asked = result.Settings(stored);
        if (asked == stored) return stored;
        var (before, now) = (SettingsSource.ToText(stored), SettingsSource.ToText(asked));
        var path = before.Keys.First(k => before[k] != now[k]);
        throw new InputException($"{path}: the {what} was made with '{before[path]}', not '{now[path]}'; go on without it, or start another {what} with {name}");
    }

    /// <summary>The number of threads, at least one.</summary>
    public static int ThreadCount(this ParseResult result)
    {
        int threads = result.GetValue(Threads);
        return threads is >= 1 and <= 4096 ? threads : throw new InputException($"--threads: {threads} is out of range, expected 1 to 4096");
    }
}
