namespace Colo.Replication.Tests.Kit;

/// <summary>A lineage in memory that keeps apart what was written and what is durable: <see cref="AfterProcessDeath"/> and
/// <see cref="AfterPowerLoss"/> give what a later process finds.</summary>
public sealed class MemoryLineageStore : ILineageStore
{
    private readonly Lock gate = new();
    private byte[] map = [];
    private byte[] durableMap = [];
    private LineageRecord record = LineageRecord.Empty;
    private IReadOnlyList<int> activity = [];

    public LineageRecord Record
    {
        get
        {
            lock (gate)
            {
                return record;
            }
        }

        set
        {
            lock (gate)
            {
                record = value;
            }
        }
    }

    public IReadOnlyList<int> Activity
    {
        get
        {
            lock (gate)
            {
                return activity;
            }
        }
    }

    public int ActivityWrites { get; private set; }

    public int MapSyncs { get; private set; }

    public bool Fails { get; set; }

    public Action<LineageRecord>? OnRecord { get; set; }

    public MemoryLineageStore AfterProcessDeath() => Copy(map);

    public MemoryLineageStore AfterPowerLoss() => Copy(durableMap);

    public ValueTask<LineageRecord> ReadAsync() => new(Record);

    public ValueTask WriteAsync(LineageRecord next)
    {
        ThrowIfFailing();
        OnRecord?.Invoke(next);
        Record = next;
        return ValueTask.CompletedTask;
    }

    public ValueTask<IReadOnlyList<int>> ReadActivityAsync() => new(Activity);

    public ValueTask WriteActivityAsync(IReadOnlyList<int> extents)
    {
        ThrowIfFailing();
        extents.Count.ShouldBeLessThanOrEqualTo(ActivityLog.Capacity);
        lock (gate)
        {
            ActivityWrites++;
            activity = [.. extents];
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask ReadMapAsync(Memory<byte> destination)
    {
        lock (gate)
        {
            Grow(destination.Length);
            map.AsMemory(0, destination.Length).CopyTo(destination);
        }

        return ValueTask.CompletedTask;
    }

    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source)
    {
        ThrowIfFailing();
        lock (gate)
        {
            Grow((int)offsetBytes + source.Length);
            source.CopyTo(map.AsSpan((int)offsetBytes));
        }
    }

    public ValueTask SyncMapAsync()
    {
        ThrowIfFailing();
        lock (gate)
        {
            MapSyncs++;
            durableMap = [.. map];
        }

        return ValueTask.CompletedTask;
    }

    private MemoryLineageStore Copy(byte[] from)
    {
        lock (gate)
        {
            return new() { map = [.. from], durableMap = [.. from], record = record, activity = activity };
        }
    }

    private void Grow(int length)
    {
        if (map.Length < length)
        {
            Array.Resize(ref map, length);
        }
    }

    private void ThrowIfFailing()
    {
        if (Fails)
        {
            throw new IOException("the lineage cannot be stored");
        }
    }
}
