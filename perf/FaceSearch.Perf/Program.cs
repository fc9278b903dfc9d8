using FaceSearch.Perf;
using FaceSearch.Tensors;

// ./build.sh perf <case>|all|micro|--list|--table …; `gpu …`: perf/gpu; `child` and `spin` are what this program starts itself with.
switch (args)
{
    case [ChildProcess.Verb, var name, var threads]:
        ProcessFigures.GiveWayWhenMemoryIsShort();
        using (var device = Cpu.Create(int.Parse(threads)))
            Sampler.Serve(Cases.Find(name)!.Ours(device), Console.In, Console.Out);
        return 0;
    case [Neighbour.Verb]:
        return Neighbour.Spin();
#if MICRO
    case ["micro", .. var filter]:
        return FaceSearch.Perf.Micro.MicroBenchmarks.Run(filter);
#endif
    case ["gpu", .. var rest]:
        return GpuProgram.Run(rest);
    case ["--help" or "-h"]:
        Console.WriteLine(PerfOptions.Usage);
        return 0;
}
if (PerfOptions.Parse(args, out var complaint) is not { } options)
{
    Console.Error.WriteLine($"{complaint}\n{PerfOptions.Usage}");
    return 2;
}
if (options.Lists)
{
    foreach (var one in Cases.All) Console.WriteLine($"{one.Name,-12} {one.Help}");
    return 0;
}
if (options.Table)
{
    Console.Write(Table.Markdown(Results.Read(options.Results)));
    return 0;
}
bool peer = options.Peer && Peer.Prepare();
int failed = 0;
foreach (var one in options.Cases)
    try
    {
        Console.WriteLine(options.Neighbour ? Neighbour.Measure(one, options, peer) : Compare(one));
    }
    catch (InvalidOperationException e)
    {
        Console.Error.WriteLine($"{one.Name}: {e.Message}");
        failed = 1;
    }
return failed;

string Compare(Case one)
{
    var row = Comparison.Take(one, options, peer);
    Results.Append(options.Results, row);
    return row.Summary;
}
