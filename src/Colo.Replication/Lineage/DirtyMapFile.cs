using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The map of dirty grains, in memory and in its file. A bit is in the file before it is in memory, so whoever finds it set need not wait;
/// it is cleared in memory first, so a crash errs towards set.
/// </summary>
internal sealed class DirtyMapFile(ILineageStore store, long lengthBytes)
{
    public const int GrainBytes = 4096;

    private const int UnitBytes = ILineageStore.MapUnitBytes;
    private const int PieceBytes = 8 * UnitBytes;
    private const long PieceRangeBytes = (long)PieceBytes * 8 * GrainBytes;

    private readonly Lock gate = new();
    private readonly byte[] piece = new byte[PieceBytes];
    private long attachment;

    public DirtyBitmap Dirty { get; } = new(lengthBytes, GrainBytes);

    /// <summary>Of whom bits may be cleared.</summary>
    public long Attachment => Volatile.Read(ref attachment);

    public async ValueTask LoadAsync()
    {
        byte[] stored = new byte[Dirty.StoredBytes];
        await store.ReadMapAsync(stored);
        Dirty.UnionWith(stored.AsSpan());
    }

    /// <summary>False where it could not be stored.</summary>
    public bool TryMark(BlockRange range)
    {
        if (Dirty.IsAllSet(range))
        {
            return true;
        }

        try
        {
            Mark(range);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    public void Mark(BlockRange range)
    {
        lock (gate)
        {
            for (long from = range.Offset; from < range.End;)
            {
                BlockRange part = BlockRange.FromTo(from, Math.Min(range.End, ((from / PieceRangeBytes) + 1) * PieceRangeBytes));
                if (!Dirty.IsAllSet(part))
                {
                    Store(part, set: true);
                    Dirty.Set(part);
                }

                from = part.End;
            }
        }
    }

    public void MarkAll() => Mark(new(0, lengthBytes));

    public void Clear(long ofAttachment, IEnumerable<BlockRange> ranges)
    {
        lock (gate)
        {
            if (ofAttachment != attachment)
            {
                return;
            }

            foreach (BlockRange range in ranges)
            {
                Dirty.Clear(range);
                for (long from = range.Offset; from < range.End;)
                {
                    BlockRange part = BlockRange.FromTo(from, Math.Min(range.End, ((from / PieceRangeBytes) + 1) * PieceRangeBytes));
                    Store(part, set: false);
                    from = part.End;
                }
            }
        }
    }

    /// <summary>Whoever might still clear bits may not any more.</summary>
    public void BeginAttachment()
    {
        lock (gate)
        {
            attachment++;
        }
    }

    /// <summary>All zero, in memory and in the file.</summary>
    public async ValueTask EraseAsync()
    {
        lock (gate)
        {
            Dirty.ClearAll();
            byte[] zeroes = new byte[128 * UnitBytes];
            for (long at = 0; at < Dirty.StoredBytes; at += zeroes.Length)
            {
                store.WriteMap(at, zeroes.AsSpan(0, (int)Math.Min(zeroes.Length, Dirty.StoredBytes - at)));
            }
        }

        await store.SyncMapAsync();
    }

    public ValueTask SyncAsync() => store.SyncMapAsync();

    /// <summary>Writes the units of the range, which lies in one piece; with the gate held.</summary>
    private void Store(BlockRange part, bool set)
    {
        long firstGrain = part.Offset / GrainBytes;
        long lastGrain = (part.End - 1) / GrainBytes;
        long at = firstGrain / 8 / UnitBytes * UnitBytes;
        long end = Math.Min(((lastGrain / 8 / UnitBytes) + 1) * UnitBytes, Dirty.StoredBytes);
        Span<byte> words = piece.AsSpan(0, (int)(end - at));
        Dirty.CopyTo(at, words);
        if (set)
        {
            for (long grain = firstGrain; grain <= lastGrain; grain++)
            {
                words[(int)((grain / 8) - at)] |= (byte)(1 << (int)(grain % 8));
            }
        }

        store.WriteMap(at, words);
    }
}
