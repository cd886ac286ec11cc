using Colo.Testing;

namespace Colo.Replication.Tests.Kit;

/// <summary>Pairs of overlays in memory; <see cref="Reopen"/> gives what a later process of the same machine finds.</summary>
public sealed class MemoryEpochStore(long lengthBytes, int grainBytes = 4096) : IEpochStore
{
    private readonly Dictionary<long, EpochOverlays> pairs = [];

    public EpochRecord Record { get; private set; } = EpochRecord.None;

    public bool FailsToPrepare { get; set; }

    public bool FailsToCommit { get; set; }

    public Action<MemoryOverlay, MemoryOverlay>? OnPrepared { get; set; }

    public Func<Task>? CommitGate { get; set; }

    public int Discarded { get; private set; }

    public MemoryOverlay Hidden => (MemoryOverlay)Pair.Hidden;

    public MemoryOverlay Active => (MemoryOverlay)Pair.Active;

    /// <summary>Overlays of another length than the disk's: a fault of whoever made them.</summary>
    public long? OverlayBytes { get; set; }

    private EpochOverlays Pair
    {
        get
        {
            lock (pairs)
            {
                return pairs[Record.Epoch];
            }
        }
    }

    public MemoryEpochStore Reopen(bool withPairs = true)
    {
        MemoryEpochStore next = new(lengthBytes, grainBytes) { Record = Record };
        lock (pairs)
        {
            foreach ((long epoch, EpochOverlays pair) in withPairs ? pairs : [])
            {
                next.pairs[epoch] = new(epoch, ((MemoryOverlay)pair.Hidden).Reopen(), ((MemoryOverlay)pair.Active).Reopen());
            }
        }

        return next;
    }

    public ValueTask<EpochRecord> ReadAsync() => new(Record);

    public ValueTask<EpochOverlays?> OpenAsync(long epoch)
    {
        lock (pairs)
        {
            foreach (long other in pairs.Keys.Where(key => key != epoch).ToArray())
            {
                pairs.Remove(other);
            }

            return new(pairs.GetValueOrDefault(epoch));
        }
    }

    public ValueTask<EpochOverlays> PrepareAsync(long epoch)
    {
        if (FailsToPrepare)
        {
            throw new IOException("no space for buffers");
        }

        MemoryOverlay hidden = new(OverlayBytes ?? lengthBytes, grainBytes);
        MemoryOverlay active = new(OverlayBytes ?? lengthBytes, grainBytes);
        OnPrepared?.Invoke(hidden, active);
        EpochOverlays pair = new(epoch, hidden, active);
        lock (pairs)
        {
            pairs[epoch] = pair;
        }

        return new(pair);
    }

    public async ValueTask CommitAsync(EpochRecord record)
    {
        if (CommitGate is not null)
        {
            await CommitGate();
        }

        Record = FailsToCommit ? throw new IOException("the epoch cannot be recorded") : record;
    }

    public async ValueTask DiscardAsync(EpochOverlays pair)
    {
        await pair.Hidden.DisposeAsync();
        await pair.Active.DisposeAsync();
        lock (pairs)
        {
            pairs.Remove(pair.Epoch);
            Discarded++;
        }
    }
}
