using System.Threading.Channels;

namespace Colo.Kubernetes;

/// <summary>
/// Keys that wait for work. A key is in it once however often it is added; it is never handed out while somebody works on it; added
/// meanwhile, it is handed out once more after <see cref="Done"/>. Holds keys, never objects: who works reads the latest.
/// </summary>
public sealed class WorkQueue : IDisposable
{
    private readonly WorkQueueOptions options;
    private readonly TimeProvider time;
    private readonly Lock guard = new();

    /// <summary>Keys to hand out, each once: whoever writes here has seen that the key is neither in it nor being worked on.</summary>
    private readonly Channel<ObjectKey> ready = Channel.CreateUnbounded<ObjectKey>();

    /// <summary>Keys that somebody asked for and nobody took since, with the time of the first asking.</summary>
    private readonly Dictionary<ObjectKey, long> asked = [];

    /// <summary>Keys being worked on, with the time they were taken.</summary>
    private readonly Dictionary<ObjectKey, long> taken = [];
    private readonly Dictionary<ObjectKey, int> failures = [];
    private readonly DelayedKeys delayed;

    public WorkQueue(string name, WorkQueueOptions options, TimeProvider time)
    {
        Name = name;
        this.options = options;
        this.time = time;
        delayed = new DelayedKeys(time, Add);
    }

    /// <summary>Label of its metrics.</summary>
    public string Name { get; }

    /// <summary>Keys ready to be worked on now.</summary>
    public int Depth => ready.Reader.Count;

    public void Add(ObjectKey key)
    {
        lock (guard)
        {
            if (!asked.TryAdd(key, time.GetTimestamp()))
            {
                return;
            }

            KubernetesMetrics.QueueAdds.WithLabels(Name).Inc();
            if (!taken.ContainsKey(key))
            {
                HandOut(key);
            }
        }
    }

    /// <summary>Adds the key after that time; where it waits already, the earlier of the two counts.</summary>
    public void AddAfter(ObjectKey key, TimeSpan delay)
    {
        if (delay <= TimeSpan.Zero)
        {
            Add(key);
            return;
        }

        delayed.Add(key, delay);
    }

    /// <summary>Adds the key after its backoff, which grows until <see cref="Forget"/>.</summary>
    public void AddRateLimited(ObjectKey key)
    {
        int before;
        lock (guard)
        {
            before = failures.GetValueOrDefault(key);
            failures[key] = before + 1;
        }

        KubernetesMetrics.QueueRetries.WithLabels(Name).Inc();
        double whole = Math.Min(options.MaxDelay.TotalMilliseconds, options.BaseDelay.TotalMilliseconds * Math.Pow(2, Math.Min(before, 40)));
        delayed.Add(key, TimeSpan.FromMilliseconds(whole * (1 + (options.Jitter * Random.Shared.NextDouble()))));
    }

    /// <summary>The key succeeded: its backoff begins anew.</summary>
    public void Forget(ObjectKey key)
    {
        lock (guard)
        {
            failures.Remove(key);
        }
    }

    /// <summary>How often the key failed since it last succeeded.</summary>
    public int Failures(ObjectKey key)
    {
        lock (guard)
        {
            return failures.GetValueOrDefault(key);
        }
    }

    /// <summary>The next key; whoever takes it calls <see cref="Done"/>, whatever happened.</summary>
    public async ValueTask<ObjectKey> GetAsync(CancellationToken token)
    {
        ObjectKey key = await ready.Reader.ReadAsync(token);
        lock (guard)
        {
            long now = time.GetTimestamp();
            asked.Remove(key, out long since);
            taken.Add(key, now);
            KubernetesMetrics.QueueDepth.WithLabels(Name).Dec();
            KubernetesMetrics.QueueDuration.WithLabels(Name).Observe(time.GetElapsedTime(since, now).TotalSeconds);
        }

        return key;
    }

    public void Done(ObjectKey key)
    {
        lock (guard)
        {
            if (!taken.Remove(key, out long since))
            {
                throw new InvalidOperationException($"{key} is done, but nobody took it");
            }

            KubernetesMetrics.WorkDuration.WithLabels(Name).Observe(time.GetElapsedTime(since).TotalSeconds);
            if (asked.ContainsKey(key))
            {
                HandOut(key);
            }
        }
    }

    /// <summary>Nothing comes out of delays any more.</summary>
    public void Dispose() => delayed.Dispose();

    private void HandOut(ObjectKey key)
    {
        KubernetesMetrics.QueueDepth.WithLabels(Name).Inc();
        ready.Writer.TryWrite(key);
    }
}
