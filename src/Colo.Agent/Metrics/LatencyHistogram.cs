using System.Runtime.CompilerServices;
using Colo.Nbd.Server;
using Prometheus;

namespace Colo.Agent.Metrics;

/// <summary>
/// colo_io_latency_seconds from the buckets that each connection counts for itself (powers of two of a microsecond). Counts are exact; the
/// sum is that of the buckets' middles.
/// </summary>
internal sealed class LatencyHistogram
{
    private static readonly (NbdOperation Operation, string Name)[] Operations =
    [
        (NbdOperation.Read, "read"),
        (NbdOperation.Write, "write"),
        (NbdOperation.WriteZeroes, "zero"),
        (NbdOperation.Trim, "discard"),
        (NbdOperation.Flush, "flush"),
    ];

    private readonly Histogram histogram;

    /// <summary>What was copied before, for each export: a new export (after a promotion or a restart of the volume) begins at zero.</summary>
    private readonly ConditionalWeakTable<NbdExportMetrics, long[][]> copied = [];

    public LatencyHistogram(MetricFactory make, string[] labels) => histogram = make.CreateHistogram(
        "colo_io_latency_seconds",
        "from receiving a request of the guest to its answer by the device",
        labels,
        new HistogramConfiguration { Buckets = [.. NbdExportMetrics.BucketUpperBounds.Select(b => b.TotalSeconds)] });

    public void Copy(NbdExportMetrics metrics, string[] labels)
    {
        long[][] before = copied.GetValue(
            metrics, _ => [.. Operations.Select(_ => new long[NbdExportMetrics.BucketUpperBounds.Count + 1])]);
        for (int op = 0; op < Operations.Length; op++)
        {
            Histogram.Child child = histogram.WithLabels([.. labels, Operations[op].Name]);
            IReadOnlyList<long> now = metrics.Snapshot(Operations[op].Operation).LatencyBuckets;
            for (int bucket = 0; bucket < now.Count; bucket++)
            {
                if (now[bucket] > before[op][bucket])
                {
                    child.Observe(Middle(bucket), now[bucket] - before[op][bucket]);
                    before[op][bucket] = now[bucket];
                }
            }
        }
    }

    public void Forget(string[] labels)
    {
        foreach ((_, string name) in Operations)
        {
            histogram.RemoveLabelled([.. labels, name]);
        }
    }

    private static double Middle(int bucket)
    {
        IReadOnlyList<TimeSpan> bounds = NbdExportMetrics.BucketUpperBounds;
        double lower = bucket == 0 ? 0 : bounds[bucket - 1].TotalSeconds;
        return bucket < bounds.Count ? (lower + bounds[bucket].TotalSeconds) / 2 : lower * 2;
    }
}
