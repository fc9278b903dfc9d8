using System.Runtime.InteropServices;

namespace FaceSearch.Cli;

/// <summary>
/// Ctrl-C and SIGTERM ask once to stop in good order; the second time the process ends at once, which loses nothing
/// either, because all state is written before it is used.
/// </summary>
sealed class StopSignals : IDisposable
{
    readonly CancellationTokenSource stop = new();
    readonly PosixSignalRegistration[] registrations;
    volatile int code;

    public StopSignals() => registrations =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, context => Ask(context, 130)),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => Ask(context, 143)),
        PosixSignalRegistration.Create(PosixSignal.SIGHUP, context => Ask(context, 129)),
    ];

    public CancellationToken Token => stop.Token;

    /// <summary>128 + the signal's number; 0 while nobody has asked.</summary>
    public int ExitCode => code;

    /// <summary>Tells how to go on, and returns the exit code.</summary>
    public int Stopped(string goOn)
    {
        Console.Error.WriteLine($"stopped; go on with: {goOn}");
        return code;
    }

    void Ask(PosixSignalContext context, int exitCode)
    {
        if (code != 0) return;
        context.Cancel = true;
        code = exitCode;
        stop.Cancel();
    }

    public void Dispose()
    {
        foreach (var registration in registrations) registration.Dispose();
        stop.Dispose();
    }
}
