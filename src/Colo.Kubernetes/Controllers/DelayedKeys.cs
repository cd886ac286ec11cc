namespace Colo.Kubernetes;

/// <summary>Keys that become due at a time, each at the earliest that was asked for; one timer for all of them.</summary>
internal sealed class DelayedKeys : IDisposable
{
    /// <summary>Superseded entries are swept out when there are more of them than keys, and some.</summary>
    private const int SlackEntries = 64;

    /// <summary>Timers end at some weeks; one that fires before its key is due is set again.</summary>
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(1);

    private readonly TimeProvider time;
    private readonly Action<ObjectKey> due;
    private readonly ITimer timer;
    private readonly Lock guard = new();
    private readonly Dictionary<ObjectKey, long> dueAt = [];

    /// <summary>May hold entries that an earlier one superseded: only the one that dueAt names counts.</summary>
    private readonly PriorityQueue<ObjectKey, long> order = new();

    public DelayedKeys(TimeProvider time, Action<ObjectKey> due)
    {
        this.time = time;
        this.due = due;
        timer = time.CreateTimer(_ => Fire(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public void Add(ObjectKey key, TimeSpan delay)
    {
        long now = time.GetTimestamp();
        long at = now + (long)(delay.TotalSeconds * time.TimestampFrequency);
        lock (guard)
        {
            if (dueAt.TryGetValue(key, out long earlier) && earlier <= at)
            {
                return;
            }

            dueAt[key] = at;
            order.Enqueue(key, at);
            Sweep();
            Arm(now);
        }
    }

    public void Dispose() => timer.Dispose();

    private void Fire()
    {
        List<ObjectKey> ripe = [];
        lock (guard)
        {
            long now = time.GetTimestamp();
            while (order.TryPeek(out ObjectKey key, out long at) && at <= now)
            {
                order.Dequeue();
                if (dueAt.TryGetValue(key, out long current) && current == at)
                {
                    dueAt.Remove(key);
                    ripe.Add(key);
                }
            }

            Arm(now);
        }

        ripe.ForEach(due);
    }

    private void Arm(long now)
    {
        if (order.TryPeek(out _, out long first))
        {
            // A timer counts whole milliseconds; one that fired too early would only be set again.
            double milliseconds = Math.Clamp(Math.Ceiling(time.GetElapsedTime(now, first).TotalMilliseconds), 0, LongestTimer.TotalMilliseconds);
            timer.Change(TimeSpan.FromMilliseconds(milliseconds), Timeout.InfiniteTimeSpan);
        }
    }

    private void Sweep()
    {
        if (order.Count > (2 * dueAt.Count) + SlackEntries)
        {
            order.Clear();
            order.EnqueueRange(dueAt.Select(entry => (entry.Key, entry.Value)));
        }
    }
}
