using System.Threading.Tasks.Sources;

namespace Colo.Blocks;

/// <summary>
/// Exclusive byte ranges of one device: serialises overlapping requests and lets all others pass. Overlapping acquirers are served in
/// order of arrival; nobody overtakes, also not a small range that would fit past a waiting large one it overlaps.
/// </summary>
/// <remarks>
/// <para>A free range is acquired synchronously and without allocation. A waiter goes on inside the release that frees it, on the
/// releasing thread, one after another (never nested), so release while holding no lock of your own.</para>
/// <para>Cost is linear in the ranges held and waiting: meant for requests in flight (hundreds), not for long-lived reservations.</para>
/// <para>Acquiring a second range while holding one that overlaps it waits for ever; that is the caller's bug.</para>
/// </remarks>
public sealed class RangeLock
{
    private readonly Lock gate = new();
    private Entry? first;
    private Entry? last;
    private Entry? spare;

    [ThreadStatic]
    private static Queue<Entry>? granted;

    [ThreadStatic]
    private static bool granting;

    /// <summary>Waits until no earlier acquirer of an overlapping range is left. Dispose what it gives, exactly once.</summary>
    public ValueTask<Held> AcquireAsync(BlockRange range)
    {
        lock (gate)
        {
            Entry entry = Append(range);
            return entry.Blockers == 0 ? new(new Held(entry)) : entry.WaitAsync();
        }
    }

    /// <summary>Acquires without waiting; false where an overlapping range is held or waited for.</summary>
    public bool TryAcquire(BlockRange range, out Held held)
    {
        lock (gate)
        {
            if (CountOverlapping(range) > 0)
            {
                held = default;
                return false;
            }

            held = new Held(Append(range));
            return true;
        }
    }

    /// <summary>The ranges that are held or waited for at this moment.</summary>
    public void CopyTo(ICollection<BlockRange> ranges)
    {
        lock (gate)
        {
            for (Entry? entry = first; entry is not null; entry = entry.Next)
            {
                ranges.Add(entry.Range);
            }
        }
    }

    private Entry Append(BlockRange range)
    {
        Entry entry = spare ?? new Entry(this);
        spare = entry.Next;
        entry.Reuse(range, CountOverlapping(range), last);
        if (last is null)
        {
            first = entry;
        }
        else
        {
            last.Next = entry;
        }

        last = entry;
        return entry;
    }

    private int CountOverlapping(BlockRange range)
    {
        int count = 0;
        for (Entry? earlier = first; earlier is not null; earlier = earlier.Next)
        {
            count += earlier.Range.Overlaps(range) ? 1 : 0;
        }

        return count;
    }

    private void Release(Entry entry, short version)
    {
        lock (gate)
        {
            entry.EndUse(version);
            for (Entry? later = entry.Next; later is not null; later = later.Next)
            {
                if (later.Range.Overlaps(entry.Range) && --later.Blockers == 0)
                {
                    (granted ??= new Queue<Entry>()).Enqueue(later);
                }
            }

            Remove(entry);
        }

        ResumeGranted();
    }

    private void Remove(Entry entry)
    {
        if (entry.Previous is null)
        {
            first = entry.Next;
        }
        else
        {
            entry.Previous.Next = entry.Next;
        }

        if (entry.Next is null)
        {
            last = entry.Previous;
        }
        else
        {
            entry.Next.Previous = entry.Previous;
        }

        entry.Previous = null;
        entry.Next = spare;
        spare = entry;
    }

    /// <summary>Runs the waiters one after another: a waiter that releases at once adds to the queue rather than to the stack.</summary>
    private static void ResumeGranted()
    {
        if (granting || granted is null)
        {
            return;
        }

        granting = true;
        try
        {
            while (granted.TryDequeue(out Entry? entry))
            {
                entry.Resume();
            }
        }
        finally
        {
            granting = false;
        }
    }

    /// <summary>A range held; dispose releases it, once.</summary>
    public readonly struct Held : IDisposable
    {
        private readonly Entry? entry;
        private readonly short version;

        internal Held(Entry entry)
        {
            this.entry = entry;
            version = entry.Version;
        }

        public void Dispose() => entry?.Owner.Release(entry, version);
    }

    internal sealed class Entry(RangeLock owner) : IValueTaskSource<Held>
    {
        private ManualResetValueTaskSourceCore<bool> wait;
        private bool inUse;

        public RangeLock Owner => owner;

        public BlockRange Range { get; private set; }

        public int Blockers { get; set; }

        public Entry? Previous { get; set; }

        public Entry? Next { get; set; }

        public short Version => wait.Version;

        public void Reuse(BlockRange range, int blockers, Entry? previous)
        {
            wait.Reset();
            inUse = true;
            Range = range;
            Blockers = blockers;
            Previous = previous;
            Next = null;
        }

        public void EndUse(short version)
        {
            if (!inUse || version != wait.Version)
            {
                throw new InvalidOperationException("a range was released twice");
            }

            inUse = false;
        }

        public ValueTask<Held> WaitAsync() => new(this, wait.Version);

        public void Resume() => wait.SetResult(true);

        public Held GetResult(short token)
        {
            wait.GetResult(token);
            return new Held(this);
        }

        public ValueTaskSourceStatus GetStatus(short token) => wait.GetStatus(token);

        public void OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            wait.OnCompleted(continuation, state, token, flags);
    }
}
