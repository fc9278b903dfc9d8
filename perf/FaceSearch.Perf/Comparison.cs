namespace FaceSearch.Perf;

/// <summary>Ours and every form of the peer in turn within the same minute.</summary>
static class Comparison
{
    const int Rounds = 5;
    // The rest is for the system and for what a form needs beyond its estimate.
    const double UsableMemory = 0.9;

    public static Row Take(Case one, PerfOptions options, bool peer)
    {
        var roof = RoofNow(options);
        var forms = peer ? Fitting(one, options.Forms(one)) : [];
        var (ours, theirs) = one.Gigabytes + forms.Sum(f => f.Gigabytes) < UsableMemory * Machine.FreeGigabytes()
            ? InTurn(one, forms, options)
            : OneByOne(one, forms, options);
        return Row.Of(one, options.Threads, Roof.Higher(roof, RoofNow(options)), ours, theirs);
    }

    /// <summary>The forms that there is memory for; says which there is not.</summary>
    public static PeerForm[] Fitting(Case one, PeerForm[] wanted)
    {
        double free = UsableMemory * Machine.FreeGigabytes();
        foreach (var form in wanted.Where(f => f.Gigabytes > free))
            Console.Error.WriteLine($"{one.Name}: the peer's form '{form.Name}' is left out, it needs {form.Gigabytes:0.0} GB and {free:0.0} GB of memory can be used");
        return [.. wanted.Where(f => f.Gigabytes <= free)];
    }

    /// All processes at once, each asleep while another is measured.
    static (Sample Ours, Dictionary<PeerForm, Sample> Theirs) InTurn(Case one, PeerForm[] forms, PerfOptions options)
    {
        using var ours = ChildProcess.Ours(one, options.Threads);
        var theirs = new Dictionary<PeerForm, ChildProcess>();
        try
        {
            foreach (var form in forms)
                if (ChildProcess.Start(Peer.Start(form, options.Threads)) is { } child) theirs[form] = child;
            Measure([.. theirs.Values.Prepend(ours)], options);
            foreach (var (form, child) in theirs.Where(t => t.Value.Ended)) Lost(one, form, child);
            return (ours.Sample, theirs.Where(t => !t.Value.Ended).ToDictionary(t => t.Key, t => t.Value.Sample));
        }
        finally
        {
            foreach (var child in theirs.Values) child.Dispose();
        }
    }

    /// Where memory does not hold all processes: ours anew before each form.
    static (Sample Ours, Dictionary<PeerForm, Sample> Theirs) OneByOne(Case one, PeerForm[] forms, PerfOptions options)
    {
        var ours = new List<Sample>();
        var theirs = new Dictionary<PeerForm, Sample>();
        foreach (var form in forms.DefaultIfEmpty())
        {
            using (var child = ChildProcess.Ours(one, options.Threads))
            {
                Measure([child], options);
                ours.Add(child.Sample);
            }
            if (form is null || Fitting(one, [form]) is []) continue;
            using var other = ChildProcess.Start(Peer.Start(form, options.Threads));
            if (other is null) continue;
            Measure([other], options);
            if (other.Ended) Lost(one, form, other);
            else theirs[form] = other.Sample;
        }
        return (Sample.Join(ours), theirs);
    }

    static void Measure(ChildProcess[] children, PerfOptions options)
    {
        for (int round = 0; round < Rounds; round++)
            foreach (int? core in Cores.Tried(options.Threads))
                foreach (var child in children) child.MeasureMore(options.Seconds / Rounds, core);
    }

    /// The highest of the cores.
    static Roof RoofNow(PerfOptions options) =>
        Cores.Tried(options.Threads).Select(core => Cores.On(core, () => Roof.Measure(options.Threads))).Aggregate(Roof.Higher);

    static void Lost(Case one, PeerForm form, ChildProcess child) =>
        Console.Error.WriteLine($"{one.Name}: the peer's form '{form.Name}' ended while it was measured, perhaps for want of memory: {child.Complaint}");
}
