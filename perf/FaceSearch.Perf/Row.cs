using System.Globalization;

namespace FaceSearch.Perf;

/// <summary>
/// One measurement as it stands in the results. Times in ms of one step: median, quintiles 20 and 80; memory is the
/// process's peak in 10⁶ bytes; shares and ratios are bare numbers, a ratio above 1 means that we are faster. What was not
/// measured is NaN, in the file empty.
/// </summary>
sealed record Row(string Date, string Commit, string Machine, string Case, int Threads, double OursMs, double P20, double P80,
    double Gflops, double Roof, double Gbs, double OursMb, double FaultsPerStep, double PeerBestMs, string PeerBestForm, double PeerBestMb,
    double PeerUsualMs, double PeerUsualMb, double RatioBest, double RatioUsual, double AllocatedPerStep, double PeakGflops, double ReadGbs, double CopyGbs, double RoundNs)
{
    /// <summary>
    /// gflops: by the mathematics of the case; gbs: bytes as the ops declare them; roof: the least time by multiply-adds or
    /// memory, over ours (fast convolution algorithms and fused ops can exceed 1); faults and managed bytes of a warm step.
    /// The last columns are the roof measured in the same minute, and with several threads the time in ns in which a flag goes to and
    /// fro between two cores, the longer of before and after: some 50 if they share an L3 cache; a host may move them apart (several hundred).
    /// </summary>
    public const string Header = "date,commit,machine,case,threads,ours_ms,p20,p80,gflops,roof,gbs,ours_mb,faults_per_step,peer_best_ms,peer_best_form,peer_best_mb," +
        "peer_usual_ms,peer_usual_mb,ratio_best,ratio_usual,allocated_per_step,peak_gflops,read_gbs,copy_gbs,round_ns";

    /// <summary>A row of this machine, or of the GPU that is named; ours null where it could not be measured.</summary>
    public static Row Of(Case one, int threads, Roof roof, Sample? ours, Dictionary<PeerForm, Sample> peer, string? machine = null, string? commit = null)
    {
        double At(double quantile) => ours?.At(quantile) ?? double.NaN;
        double ms = At(0.5);
        var work = one.Work();
        var best = peer.OrderBy(p => p.Value.At(0.5)).FirstOrDefault();
        var usual = peer.GetValueOrDefault(one.Peer[0]);
        double bestMs = best.Value?.At(0.5) ?? double.NaN, usualMs = usual?.At(0.5) ?? double.NaN;
        return new(DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm", CultureInfo.InvariantCulture), commit ?? Perf.Machine.Commit(), machine ?? Perf.Machine.Name, one.Name, threads,
            ms, At(0.2), At(0.8), 2e-6 * work.Macs / ms, roof.Milliseconds(work) / ms, 1e-6 * work.Bytes / ms, ours?.PeakMegabytes ?? double.NaN, ours?.FaultsPerStep ?? double.NaN,
            bestMs, best.Key?.Name ?? "", best.Value?.PeakMegabytes ?? double.NaN, usualMs, usual?.PeakMegabytes ?? double.NaN, bestMs / ms, usualMs / ms,
            ours?.AllocatedPerStep ?? double.NaN, roof.Gigaflops, roof.ReadGigabytes, roof.CopyGigabytes, roof.RoundTrip);
    }

    public string Summary =>
        $"case={Case} ratio_best={Text(RatioBest, "0.00")} ratio_usual={Text(RatioUsual, "0.00")} ours_ms={Text(OursMs, "0.000")} peer_best_ms={Text(PeerBestMs, "0.000")} roof={Text(Roof, "0.00")} ours_mb={Text(OursMb, "0")} peer_mb={Text(PeerBestMb, "0")}";

    public string Line => string.Join(',', [Date, Commit, Machine, Case, Threads.ToString(CultureInfo.InvariantCulture), .. Numbers[..8].Select(Csv), Csv(PeerBestMs), PeerBestForm, .. Numbers[9..].Select(Csv)]);

    /// <summary>A line of the file, or an exception that names it.</summary>
    public static Row Parse(string line)
    {
        var f = line.Split(',');
        if (f.Length != Header.Split(',').Length) throw new FormatException($"a row of the results has {f.Length} fields: {line}");
        double At(int i) => f[i].Length == 0 ? double.NaN : double.Parse(f[i], CultureInfo.InvariantCulture);
        return new(f[0], f[1], f[2], f[3], (int)At(4), At(5), At(6), At(7), At(8), At(9), At(10), At(11), At(12), At(13), f[14], At(15), At(16), At(17), At(18), At(19), At(20), At(21), At(22), At(23), At(24));
    }

    double[] Numbers => [OursMs, P20, P80, Gflops, Roof, Gbs, OursMb, FaultsPerStep, PeerBestMs, PeerBestMb, PeerUsualMs, PeerUsualMb, RatioBest, RatioUsual, AllocatedPerStep, PeakGflops, ReadGbs, CopyGbs, RoundNs];

    static string Csv(double value) => Text(value, "0.####").TrimEnd('-');

    static string Text(double value, string format) => double.IsNaN(value) ? "-" : value.ToString(format, CultureInfo.InvariantCulture);
}
