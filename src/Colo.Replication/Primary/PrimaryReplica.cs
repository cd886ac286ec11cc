using Colo.Blocks;

namespace Colo.Replication;

/// <summary>The primary's disk as its guest uses it.</summary>
public sealed class PrimaryReplica : IBlockDevice
{
    private PrimaryReplica() => throw new NotSupportedException();

    public Term Term => throw new NotSupportedException();

    public ReplicationState State => throw new NotSupportedException();

    public ServeState ServeState => throw new NotSupportedException();

    /// <summary>For people: why I/O is held or refused; empty while it is not.</summary>
    public string ServeReason => throw new NotSupportedException();

    /// <summary>As last read or written; null before the arbiter's first answer.</summary>
    public VolumeRecord? Record => throw new NotSupportedException();

    /// <summary>The open epoch: the one that the next checkpoint closes.</summary>
    public long Epoch => throw new NotSupportedException();

    public CheckpointReport? LastCheckpoint => throw new NotSupportedException();

    /// <summary>Of the resync that runs or ran last; null where there was none.</summary>
    public ResyncProgress? ResyncProgress => throw new NotSupportedException();

    /// <summary>Ends when the replica serves: the arbiter has confirmed the term. Ends with Superseded where a newer one exists.</summary>
    public Task Confirmed => throw new NotSupportedException();

    public long LengthBytes => throw new NotSupportedException();

    public DeviceCapabilities Capabilities => throw new NotSupportedException();

    /// <summary>Opens the primary under the term of its options; I/O is held until the arbiter has confirmed it.</summary>
    /// <param name="options">Who, and under which term.</param>
    /// <param name="local">The primary disk (or a promoted secondary's serving device). Not owned: the caller disposes it afterwards.</param>
    /// <param name="arbiter">Asked before this replica goes on alone.</param>
    /// <param name="terms">Of this node and volume.</param>
    /// <param name="time">Of all timeouts.</param>
    /// <param name="observer">Told what happens.</param>
    /// <exception cref="StaleTermException">this node has seen a higher term.</exception>
    public static ValueTask<PrimaryReplica> OpenAsync(
        PrimaryReplicaOptions options,
        IBlockDevice local,
        IArbiter arbiter,
        ITermStore terms,
        TimeProvider time,
        IReplicationObserver? observer = null) => throw new NotSupportedException();

    /// <summary>Starts replication to a secondary that was started before: <see cref="AttachSecondaryAsync"/> in state None.</summary>
    public ValueTask StartAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token = default) =>
        throw new NotSupportedException();

    /// <summary>
    /// Adds the one remote child. Returns when writes are forwarded and (Full, Recopy) the copy has begun; <see cref="ResyncCompletion"/>
    /// is its end. The link belongs to the replica from the call on, also where it throws.
    /// </summary>
    public ValueTask AttachSecondaryAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token = default) =>
        throw new NotSupportedException();

    /// <summary>The end of the resync that runs (or ran last): true where the secondary is recorded as InSync.</summary>
    public Task<bool> ResyncCompletion => throw new NotSupportedException();

    /// <summary>Removes the remote child: Stale is recorded before the next write is acknowledged; ends when it is.</summary>
    public ValueTask DetachSecondaryAsync(Term term, CancellationToken token = default) => throw new NotSupportedException();

    /// <summary>Closes the epoch on both sides.</summary>
    /// <exception cref="ReplicationException"><see cref="ReplicationFault.CheckpointFailed"/> with the latched error.</exception>
    public ValueTask<CheckpointReport> CheckpointAsync(Term term, CancellationToken token = default) => throw new NotSupportedException();

    public LatchedError? GetError(Term term) => throw new NotSupportedException();

    /// <summary>Failover: goes on alone. Otherwise: a last checkpoint, and then alone. State Done afterwards.</summary>
    public ValueTask StopAsync(Term term, bool failover, CancellationToken token = default) => throw new NotSupportedException();

    /// <summary>Somebody has shown a newer term: all held and later I/O is refused from here on.</summary>
    public ValueTask FenceAsync(Term newer) => throw new NotSupportedException();

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => throw new NotSupportedException();

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        throw new NotSupportedException();

    public ValueTask<BlockStatus> FlushAsync() => throw new NotSupportedException();

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        throw new NotSupportedException();

    public ValueTask DisposeAsync() => throw new NotSupportedException();
}
