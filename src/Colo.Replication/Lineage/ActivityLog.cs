using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The extents that a primary may be writing to, durable before the first write to each: after a crash nothing outside them differs
/// between the replicas. A write to a hot extent costs a look at one byte; only turning an extent hot, or cold, costs a sync.
/// </summary>
/// <remarks>
/// <para>An extent is made cold first, and written off as not differing second (<see cref="IActivityOwner.SettleAsync"/>): whoever still
/// saw it hot is then seen in flight, or has its mark in the map.</para>
/// </remarks>
public sealed class ActivityLog
{
    /// <summary>4 GiB are hot at most: what a crash costs to compare again. Numbers of so many extents fit into one small write.</summary>
    public const int Capacity = 1024;

    public const int ExtentBytes = 4 << 20;

    /// <summary>Made cold together, so that a log that is full does not flush for each new extent.</summary>
    private const int VictimBatch = Capacity / 8;

    /// <summary>Made hot together where writes go upwards: a sequential writer waits for a fourth of its extents.</summary>
    private const int ReadAhead = 3;

    private readonly ILineageStore store;
    private readonly byte[] hot;
    private readonly byte[] used;
    private readonly SemaphoreSlim one = new(1);
    private readonly Lock gate = new();
    private SortedSet<int> wanted = [];
    private int hand;

    internal ActivityLog(ILineageStore store, long lengthBytes)
    {
        this.store = store;
        long extents = (lengthBytes + ExtentBytes - 1) / ExtentBytes;
        hot = new byte[extents];
        used = new byte[extents];
    }

    internal int Count { get; private set; }

    internal static BlockRange RangeOf(int extent, long lengthBytes) =>
        BlockRange.FromTo((long)extent * ExtentBytes, Math.Min((long)(extent + 1) * ExtentBytes, lengthBytes));

    /// <summary>True where every extent of the range is hot and stays so for this write, which is in flight or marked by now.</summary>
    internal bool TryTouch(BlockRange range)
    {
        int last = (int)((range.End - 1) / ExtentBytes);
        for (int extent = (int)(range.Offset / ExtentBytes); extent <= last; extent++)
        {
            if (Volatile.Read(ref hot[extent]) == 0)
            {
                return false;
            }

            // Not written where it says so already: the line stays shared between the writers.
            if (used[extent] == 0)
            {
                used[extent] = 1;
            }
        }

        return true;
    }

    /// <summary>Makes the extents of the range hot; waiters of one moment share one write. False where there is no room now: try again.</summary>
    /// <exception cref="IOException">the log cannot be written.</exception>
    internal async ValueTask<bool> ActivateAsync(BlockRange range, IActivityOwner owner)
    {
        int first = (int)(range.Offset / ExtentBytes);
        int last = (int)((range.End - 1) / ExtentBytes);
        if (first > 0 && Volatile.Read(ref hot[first - 1]) != 0)
        {
            last = Math.Min(last + ReadAhead, hot.Length - 1);
        }

        lock (gate)
        {
            for (int extent = first; extent <= last; extent++)
            {
                wanted.Add(extent);
            }
        }

        await one.WaitAsync();
        try
        {
            return TryTouch(range) || await ActivateWantedAsync(owner);
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Makes cold what was not written to since the last call: an idle volume ends with an empty log.</summary>
    internal async ValueTask CoolAsync(IActivityOwner owner)
    {
        await one.WaitAsync();
        try
        {
            List<int> victims = [];
            for (int extent = 0; extent < hot.Length && victims.Count < Count; extent++)
            {
                if (hot[extent] != 0 && Interlocked.Exchange(ref used[extent], 0) == 0)
                {
                    victims.Add(extent);
                }
            }

            if (victims.Count > 0 && await ChillAsync(victims, owner) is { Count: > 0 })
            {
                await store.WriteActivityAsync(Hot());
            }
        }
        finally
        {
            one.Release();
        }
    }

    /// <summary>Nothing is being written, and both replicas have all of it durably (or the map says what not).</summary>
    internal async ValueTask ClearAsync()
    {
        await one.WaitAsync();
        try
        {
            Array.Clear(hot);
            Array.Clear(used);
            Count = 0;
            await store.WriteActivityAsync([]);
        }
        finally
        {
            one.Release();
        }
    }

    internal async ValueTask LoadAsync()
    {
        foreach (int extent in await store.ReadActivityAsync())
        {
            if (extent >= 0 && extent < hot.Length && hot[extent] == 0)
            {
                hot[extent] = 1;
                Count++;
            }
        }
    }

    internal List<int> Hot()
    {
        List<int> extents = [];
        for (int extent = 0; extent < hot.Length && extents.Count < Count; extent++)
        {
            if (Volatile.Read(ref hot[extent]) != 0)
            {
                extents.Add(extent);
            }
        }

        return extents;
    }

    private async ValueTask<bool> ActivateWantedAsync(IActivityOwner owner)
    {
        List<int> added;
        lock (gate)
        {
            added = [.. wanted.Where(extent => hot[extent] == 0).Take(VictimBatch)];
            wanted = [];
        }

        if (Count + added.Count > Capacity)
        {
            await ChillAsync(PickVictims(Math.Max(VictimBatch, added.Count)), owner);
            if (Count + added.Count > Capacity)
            {
                return false;
            }
        }

        List<int> next = Hot();
        next.AddRange(added);
        await store.WriteActivityAsync(next);
        foreach (int extent in added)
        {
            used[extent] = 1;
            Volatile.Write(ref hot[extent], 1);
        }

        Count += added.Count;
        return true;
    }

    /// <summary>Those not used since the hand came by last; where all are, any.</summary>
    private List<int> PickVictims(int count)
    {
        List<int> victims = [];
        for (int steps = 0; steps < 2 * hot.Length && victims.Count < count; steps++)
        {
            hand = (hand + 1) % hot.Length;
            if (hot[hand] != 0 && Interlocked.Exchange(ref used[hand], 0) == 0 && !victims.Contains(hand))
            {
                victims.Add(hand);
            }
        }

        return victims;
    }

    /// <summary>What became cold. The rest is as hot as it was; the log on disk still has all of them.</summary>
    private async ValueTask<List<int>> ChillAsync(List<int> victims, IActivityOwner owner)
    {
        foreach (int extent in victims)
        {
            Interlocked.Exchange(ref hot[extent], 0);
        }

        IReadOnlyCollection<int> settled = [];
        try
        {
            settled = await owner.SettleAsync(victims);
        }
        finally
        {
            foreach (int extent in victims.Where(extent => !settled.Contains(extent)))
            {
                Volatile.Write(ref hot[extent], 1);
            }

            Count -= settled.Count;
        }

        return [.. settled];
    }
}

/// <summary>Who writes to the extents.</summary>
internal interface IActivityOwner
{
    /// <summary>Those of <paramref name="extents"/> in which nothing differs, nor can after a crash, except where the map says so durably.
    /// None of them takes a new write meanwhile.</summary>
    ValueTask<IReadOnlyCollection<int>> SettleAsync(IReadOnlyCollection<int> extents);
}
