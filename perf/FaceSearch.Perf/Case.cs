using FaceSearch.Tensors;

namespace FaceSearch.Perf;

/// <summary>Something to time.</summary>
/// <param name="Images">That a step takes in; 0 where it has none.</param>
/// <param name="Ours">Makes our step on a device.</param>
/// <param name="Work">
/// Of one step: multiply-adds by the mathematics (a faster algorithm may need fewer), bytes as the ops declare them
/// (each operand once; fused ops may move less).
/// </param>
/// <param name="Peer">The same work in the peer's words: the usual form first.</param>
/// <param name="Gigabytes">What our process needs, at most.</param>
sealed record Case(string Name, string Help, int Images, Func<Device, Step> Ours, Func<Cost> Work, PeerForm[] Peer, double Gigabytes = 1);

/// <summary>One way for the peer to do the work.</summary>
/// <param name="TunedMalloc">Lets glibc keep freed memory and use huge pages, so that big temporaries cost no page faults.</param>
/// <param name="Gigabytes">What the process needs, at most.</param>
sealed record PeerForm(string Name, string Arguments, bool TunedMalloc = false, double Gigabytes = 1)
{
    /// <summary>Work without maps.</summary>
    public static PeerForm[] Plain(string arguments) => [new("default", arguments), new("malloc", arguments, TunedMalloc: true)];

    /// <summary>Work on maps: planes, as users have them, and channels last.</summary>
    public static PeerForm[] Maps(string arguments, double gigabytes = 1, string lean = "") =>
    [
        new("nchw", arguments, false, gigabytes), new("nchw+malloc", arguments + lean, true, gigabytes),
        new("cl", arguments + lean + " cl=1", false, gigabytes), new("cl+malloc", arguments + lean + " cl=1", true, gigabytes),
    ];

    /// <summary>The head: autograd as usual, and written by hand.</summary>
    public static PeerForm[] Head(string arguments, double usual, double lean) =>
    [
        new("autograd", arguments, false, usual), new("lean", arguments + " lean=1", false, lean), new("lean+malloc", arguments + " lean=1", true, lean),
    ];
}
