using Colo.Nbd;

namespace Colo.Agent.Volumes;

/// <summary>What a primary knows of its way to its secondary, over all links it had: whether there is one, why there is none, and how
/// long forwards took. Owns no link; any thread may ask.</summary>
internal sealed class SecondaryLink
{
    private readonly Lock guard = new();
    private readonly long[] former = new long[LatencyBuckets.Count];
    private NbdReplicationLink? current;
    private string failure = "";

    public bool IsUp
    {
        get
        {
            lock (guard)
            {
                return current is { Lost.IsCompleted: false };
            }
        }
    }

    /// <summary>Why the last attempt failed, or the link was lost; empty where nothing of the kind is known.</summary>
    public string Failure
    {
        get
        {
            lock (guard)
            {
                return failure.Length > 0 ? failure
                    : current is { Lost: { IsCompletedSuccessfully: true } lost } ? lost.Result
                    : "";
            }
        }
    }

    /// <summary>Counts of forwards by the time they took, see <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> Latencies
    {
        get
        {
            lock (guard)
            {
                long[] all = [.. former];
                Add(all, current);
                return all;
            }
        }
    }

    public void Attached(NbdReplicationLink link)
    {
        lock (guard)
        {
            Add(former, current);
            (current, failure) = (link, "");
        }
    }

    public void Failed(string reason)
    {
        lock (guard)
        {
            failure = reason;
        }
    }

    private static void Add(long[] sum, NbdReplicationLink? of)
    {
        IReadOnlyList<long>? more = of?.Latencies;
        for (int i = 0; more is not null && i < sum.Length; i++)
        {
            sum[i] += more[i];
        }
    }
}
