using Colo.Benchmarks.Load;

namespace Colo.Benchmarks.Report;

/// <summary>One job on one stack: the median of its rounds, and the rounds.</summary>
internal sealed record SteadyResult(
    string Group, string Medium, FioJob Job, string Stack, LoadResult Median, IReadOnlyList<LoadResult> Rounds, long PeakRssBytes)
{
    /// <summary>What the job is judged by.</summary>
    public double Rate => Job.IsThroughput ? Median.MebibytesPerSecond : Median.Iops;
}

internal sealed record FirstTouchResult(string Medium, string Stack, LoadResult Median, double BufferBytesPerByte, double FileBytesPerByte);

internal sealed record PauseResult(
    string Medium, string Stack, long WrittenBytes, double BufferedBytes, double CallMilliseconds, double LongestWriteMilliseconds, double TypicalWriteMilliseconds);

/// <summary>Ours over a peer's, for one job.</summary>
internal sealed record Ratio(string Group, string Medium, string Job, string Peer, double Rate, double CpuPerRequest);

/// <summary>Everything that one run of the benchmark found.</summary>
internal sealed record BenchReport(
    MachineInfo Machine,
    string Plan,
    IReadOnlyList<SteadyResult> Steady,
    IReadOnlyList<Ratio> Ratios,
    IReadOnlyList<FirstTouchResult> FirstTouch,
    IReadOnlyList<PauseResult> Pauses);
