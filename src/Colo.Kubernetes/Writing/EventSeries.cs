namespace Colo.Kubernetes;

/// <summary>An Event that was said before: how often, since when, and the object that says so, where one was made.</summary>
internal sealed class SeenEvent
{
    public required DateTimeOffset First { get; init; }

    public int Count { get; set; }

    public string? EventName { get; set; }

    /// <summary>Where it stands in the order of last use.</summary>
    public required LinkedListNode<EventKey> Place { get; init; }
}

/// <summary>Counts what is said again, and how much is said of one object. Both memories are bounded; one caller.</summary>
internal sealed class EventSeries(EventRecorderOptions options, TimeProvider time)
{
    private const int MaxSeries = 4096;
    private const int MaxBuckets = 4096;

    private readonly Dictionary<EventKey, SeenEvent> series = [];
    private readonly LinkedList<EventKey> oldestFirst = new();
    private readonly Dictionary<(ObjectKey About, string? Uid), Bucket> buckets = [];

    public SeenEvent Count(EventKey key)
    {
        if (series.TryGetValue(key, out SeenEvent? seen))
        {
            oldestFirst.Remove(seen.Place);
            oldestFirst.AddLast(seen.Place);
        }
        else
        {
            seen = new SeenEvent { First = key.At, Place = oldestFirst.AddLast(key) };
            series.Add(key, seen);
            if (series.Count > MaxSeries)
            {
                series.Remove(oldestFirst.First!.Value);
                oldestFirst.RemoveFirst();
            }
        }

        seen.Count++;
        return seen;
    }

    /// <summary>A token bucket for each object.</summary>
    public bool MaySend(EventKey key)
    {
        long now = time.GetTimestamp();
        (ObjectKey, string?) about = (key.About, key.Involved.Uid);
        Bucket bucket = buckets.TryGetValue(about, out Bucket known) ? Refill(known, now) : new Bucket(options.Burst, now);
        bool may = bucket.Tokens >= 1;
        buckets[about] = may ? bucket with { Tokens = bucket.Tokens - 1 } : bucket;
        if (buckets.Count > MaxBuckets)
        {
            Forget(now);
        }

        return may;
    }

    private Bucket Refill(Bucket bucket, long now) => new(
        Math.Min(options.Burst, bucket.Tokens + (time.GetElapsedTime(bucket.At, now) / options.RefillInterval)), now);

    /// <summary>A bucket that is full again says nothing; where none is, the fullest half go.</summary>
    private void Forget(long now)
    {
        foreach ((ObjectKey, string?) key in
            buckets.OrderByDescending(b => Refill(b.Value, now).Tokens).Take(MaxBuckets / 2).Select(b => b.Key).ToArray())
        {
            buckets.Remove(key);
        }
    }

    private readonly record struct Bucket(double Tokens, long At);
}
