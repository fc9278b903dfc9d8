using FaceSearch.Perf;

// ./build.sh perf <case> [--threads n] [--seconds s] [--peer script] | --list
var options = PerfOptions.Parse(args);
if (options is null) return 2;
foreach (var one in Cases.All.Where(c => options.Case == "all" || c.Name == options.Case))
{
    var row = Measurement.Take(one, options);
    row.Append(options.Results);
    Console.WriteLine(row.Line);
}
return 0;
