using FaceSearch.Perf;
using FaceSearch.Perf.Micro;
using FaceSearch.Tensors;

// ./build.sh perf <case>|all|micro|--list|--table …; `child` and `spin` are what this program starts itself with.
switch (args)
{
    case [ChildProcess.Verb, var name, var threads]:
        using (var device = Cpu.Create(int.Parse(threads)))
            Sampler.Serve(Cases.Find(name)!.Ours(device), Console.In, Console.Out);
        return 0;
    case [Neighbour.Verb]:
        return Neighbour.Spin();
    case ["micro", .. var filter]:
        return MicroBenchmarks.Run(filter);
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
var peer = options.Peer ? Peer.Prepare() : null;
foreach (var one in options.Cases)
{
    if (options.Neighbour)
    {
        Console.WriteLine(Neighbour.Measure(one, options, peer));
        continue;
    }
    var row = Comparison.Take(one, options, peer);
    Results.Append(options.Results, row);
    Console.WriteLine(row.Summary);
}
return 0;
