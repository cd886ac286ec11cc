namespace Colo.Benchmarks.Load;

/// <summary>The middle of several runs, figure by figure.</summary>
internal static class Median
{
    public static double Of(IEnumerable<double> values)
    {
        double[] sorted = values.Order().ToArray();
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    public static LoadResult Of(IReadOnlyCollection<LoadResult> runs) => new(
        Of(runs.Select(run => run.Iops)),
        Of(runs.Select(run => run.MebibytesPerSecond)),
        Of(runs.Select(run => run.MedianMicroseconds)),
        Of(runs.Select(run => run.P99Microseconds)),
        Of(runs.Select(run => run.MaxMicroseconds)),
        (long)Of(runs.Select(run => (double)run.Requests)),
        Of(runs.Select(run => run.ServerCpuMicrosecondsPerRequest)),
        (long)Of(runs.Select(run => (double)run.ServerFileBytes)));
}
