using System.Globalization;
using FaceSearch.Peer;
using FaceSearch.Perf;
using static TorchSharp.torch;

// The same work as our cases, in TorchSharp: a measuring instrument, driven by `./build.sh perf <case>`. By hand, one line of figures:
//   peer gemm  m=1024 n=1024 k=1024 [tb=1]
//   peer conv  n=32 c=64 k=64 h=56 [r=3] [s=1] [g=1] [bwd=1] [cl=1]
//   peer block n=32 c=128 e=256 h=14 [cl=1]
//   peer net   kind=mfn|r18|mini side=112 n=32 [emb=512] [bwd=1] [cl=1] [classes=0] [lean=1] [batches=1]
//   peer head  n=128 d=512 classes=100000 [lean=1]
//   all: [threads=1] [secs=3] [serve=1]    serve: the protocol of Sampler instead of one line
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var options = new Options(args.Skip(1));
set_num_threads(options.Int("threads", 1));
random.manual_seed(1);
Func<Options, Step>? build = args.FirstOrDefault() switch
{
    "gemm" => Products.Gemm,
    "conv" => Products.Conv,
    "block" => Products.Block,
    "net" => Training.Net,
    "head" => Training.Head,
    _ => null,
};
if (build is null)
{
    Console.Error.WriteLine("usage: peer gemm|conv|block|net|head name=value …");
    return 2;
}
var step = build(options);
if (options.Flag("serve"))
{
    Sampler.Serve(step, Console.In, Console.Out);
    return 0;
}
Sampler.Take(step, 0);
var sample = Sample.Join([Sampler.Take(step, options.Number("secs", 3))]);
Console.WriteLine($"{string.Join(' ', args)} steps={sample.Milliseconds.Length} ms={sample.At(0.5):F3} p20={sample.At(0.2):F3} p80={sample.At(0.8):F3} faults={sample.FaultsPerStep:F0} mb={sample.PeakMegabytes:F0}");
return 0;
