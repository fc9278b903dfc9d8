using ILGPU.Runtime;

namespace FaceSearch.Tensors;

public sealed partial class Gpu
{
    const int MostTries = 3;

    // The replay that launches go into, and what belongs to it, while a step is recorded.
    GpuReplay? recorder;
    Recording? recorded;

    /// <summary>Whether steps are recorded: `FACESEARCH_REPLAY=off` launches each kernel of each step, for looking for mistakes.</summary>
    internal bool Replays { get; init; } = Environment.GetEnvironmentVariable("FACESEARCH_REPLAY") != "off";

    public override void Repeat(Recording recording, StepExchange exchange, Action step)
    {
        if (IsMeter || !Replays || recording.WhyNot is not null)
        {
            step();
            return;
        }
        // What has been rented since then, and is not back yet, may lie where the recorded step writes.
        if (recording.IsReady && !(pool.HasBackAllSince(recording.Since) && recording.Conditions.TrueForAll(holds => holds(exchange.Numbers)))) recording.Forget();
        // The first time compiles kernels and takes memory.
        if (!recording.IsReady && (recording.Told++ == 0 || !Record(recording, step)))
        {
            step();
            return;
        }
        recording.Replay!.Start();
        Repeated++;
    }

    /// <summary>Steps that were done from a recording.</summary>
    internal int Repeated { get; private set; }

    /// For kernels that get a number of the step as an argument: the recorded step is right only while this holds.
    void RecordedWhile(Func<StepNumbers, bool> holds) => recorded?.Conditions.Add(holds);

    bool Record(Recording recording, Action step)
    {
        long since = pool.Now;
        GpuReplay? replay = null;
        recording.Conditions.Clear();
        try
        {
            accelerator.Accelerator.Bind();
            (recorder, recorded) = (replay = GpuReplay.On(stream), recording);
            step();
            if (!pool.HasBackAllSince(since)) throw new DeviceException("it leaves something in new memory");
            replay.End();
            recording.Keep(replay, since);
        }
        // The last: a driver from before graphs.
        catch (Exception e) when (e is DeviceException or AcceleratorException or EntryPointNotFoundException)
        {
            if (++recording.Tries == MostTries) recording.WhyNot = $"a step cannot be recorded on {Name}: {e.Message}";
        }
        finally
        {
            (recorder, recorded) = (null, null);
            if (!recording.IsReady) replay?.Dispose();
        }
        return recording.IsReady;
    }

    /// Before the host and the device look at each other's memory.
    void NotWhileRecording(string what)
    {
        if (recorder is not null) throw new DeviceException($"{what} within a step");
    }
}
