using System.Runtime.CompilerServices;
using Colo.Nbd;
using Prometheus;

namespace Colo.Agent.Metrics;

/// <summary>
/// A histogram copied from buckets that somebody else counts (powers of two of a microsecond). Counts are exact; the sum is that of the
/// buckets' middles.
/// </summary>
internal sealed class BucketHistogram
{
    private readonly Histogram histogram;

    /// <summary>What was copied before, of each source and child: a new source (a promotion, a restart of the volume) begins at zero.</summary>
    private readonly ConditionalWeakTable<object, Dictionary<string, long[]>> copied = [];

    public BucketHistogram(MetricFactory make, string name, string help, string[] labels) => histogram = make.CreateHistogram(
        name,
        help,
        labels,
        new HistogramConfiguration { Buckets = [.. LatencyBuckets.UpperBounds.Select(b => b.TotalSeconds)] });

    /// <param name="source">Whose counts these are; they only grow.</param>
    /// <param name="now">Its counts.</param>
    /// <param name="labels">Of the child that shows them.</param>
    public void Copy(object source, IReadOnlyList<long> now, string[] labels)
    {
        if (now.Count == 0)
        {
            return;
        }

        Dictionary<string, long[]> ofSource = copied.GetValue(source, _ => new(StringComparer.Ordinal));
        if (!ofSource.TryGetValue(labels[^1], out long[]? before))
        {
            ofSource[labels[^1]] = before = new long[LatencyBuckets.Count];
        }

        Histogram.Child child = histogram.WithLabels(labels);
        for (int bucket = 0; bucket < now.Count; bucket++)
        {
            if (now[bucket] > before[bucket])
            {
                child.Observe(Middle(bucket), now[bucket] - before[bucket]);
                before[bucket] = now[bucket];
            }
        }
    }

    /// <summary>Takes away every child whose labels begin so.</summary>
    public void Forget(string[] labels)
    {
        foreach (string[] child in histogram.GetAllLabelValues().Where(v => v.AsSpan(0, labels.Length).SequenceEqual(labels)).ToArray())
        {
            histogram.RemoveLabelled(child);
        }
    }

    private static double Middle(int bucket)
    {
        IReadOnlyList<TimeSpan> bounds = LatencyBuckets.UpperBounds;
        double lower = bucket == 0 ? 0 : bounds[bucket - 1].TotalSeconds;
        return bucket < bounds.Count ? (lower + bounds[bucket].TotalSeconds) / 2 : lower * 2;
    }
}
