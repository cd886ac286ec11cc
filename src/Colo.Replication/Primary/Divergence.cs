using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Where the secondary may differ from the primary's disk: since a crash, after a local error, or by writes that it never got. Null,
/// null and false in the usual case, so that a read costs two loads.
/// </summary>
internal sealed class Divergence(long lengthBytes)
{
    private const int GrainBytes = 4096;

    private DirtyBitmap? unsure;
    private DirtyBitmap? localFailed;

    /// <summary>What may differ from the secondary since a crash: until all of it was made equal, or the secondary is recorded as Stale.</summary>
    public DirtyBitmap? Unsure
    {
        get => Volatile.Read(ref unsure);
        set => Volatile.Write(ref unsure, value);
    }

    /// <summary>What only the secondary holds, because the local disk neither took the write nor reads: until a write succeeds there.</summary>
    public DirtyBitmap? LocalFailed => Volatile.Read(ref localFailed);

    /// <summary>Writes were acknowledged without a secondary since this replica was opened: a full resync is needed.</summary>
    public bool HasWrittenAlone { get; set; }

    public void MarkLocalFailed(BlockRange range)
    {
        DirtyBitmap bitmap = LocalFailed ?? new DirtyBitmap(lengthBytes, GrainBytes);
        bitmap.Set(range);
        bitmap = Interlocked.CompareExchange(ref localFailed, bitmap, null) ?? bitmap;
        bitmap.Set(range);
    }

    /// <summary>The secondary is gone, and the record says so: what differs from it no longer matters.</summary>
    public void Forget()
    {
        Volatile.Write(ref localFailed, null);
        Volatile.Write(ref unsure, null);
    }
}
