namespace Colo.Replication;

/// <summary>
/// Keeps one replica's lineage beside its disk: a small record, the activity log, and the map of dirty grains. Failures are exceptions
/// (IOException). Calls of one kind never overlap; those of different kinds may.
/// </summary>
public interface ILineageStore
{
    /// <summary><see cref="LineageRecord.Empty"/> where there is none (a new replica, or one of an older version).</summary>
    ValueTask<LineageRecord> ReadAsync();

    /// <summary>Durable when it returns; whole or not at all.</summary>
    ValueTask WriteAsync(LineageRecord record);

    /// <summary>The numbers of the hot extents as last written; empty where there are none.</summary>
    ValueTask<IReadOnlyList<int>> ReadActivityAsync();

    /// <summary>Durable when it returns; whole or not at all. At most <see cref="ActivityLog.Capacity"/> numbers.</summary>
    ValueTask WriteActivityAsync(IReadOnlyList<int> extents);

    /// <summary>The map as last written, in the form of <see cref="Colo.Blocks.DirtyBitmap.CopyTo(Span{byte})"/>; all set where it is damaged.
    /// Asked only of a map that was written all over before.</summary>
    ValueTask ReadMapAsync(Memory<byte> destination);

    /// <summary>Parts of the map are written in whole units of so many bytes, so that a store can put a checksum beside each.</summary>
    public const int MapUnitBytes = 504;

    /// <summary>At once, on the caller's thread, units from a multiple of <see cref="MapUnitBytes"/> on (the map's last may be shorter): survives the process when it returns, the machine after <see cref="SyncMapAsync"/>.</summary>
    void WriteMap(long offsetBytes, ReadOnlySpan<byte> source);

    /// <summary>Everything that <see cref="WriteMap"/> has written before this call is durable when it returns.</summary>
    ValueTask SyncMapAsync();
}
