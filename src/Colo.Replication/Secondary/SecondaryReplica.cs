using Colo.Blocks;

namespace Colo.Replication;

/// <summary>The secondary's side: the disk that takes the primary's writes, the buffers, and what is served from them.</summary>
public sealed class SecondaryReplica : IAsyncDisposable
{
    private SecondaryReplica() => throw new NotSupportedException();

    /// <summary>The highest term seen.</summary>
    public Term Term => throw new NotSupportedException();

    public ReplicationState State => throw new NotSupportedException();

    /// <summary>The open epoch; 0 before the first start.</summary>
    public long Epoch => throw new NotSupportedException();

    /// <summary>The secondary disk is being filled and the buffers are no view of anything until the first checkpoint.</summary>
    public bool IsFilling => throw new NotSupportedException();

    public CheckpointReport? LastCheckpoint => throw new NotSupportedException();

    /// <summary>What hidden and active disk take now.</summary>
    public long BufferedBytes => throw new NotSupportedException();

    /// <summary>What the secondary VM sees: active over hidden over secondary disk. Refuses with Shutdown while there is no such view.</summary>
    public IBlockDevice VmView => throw new NotSupportedException();

    /// <summary>The promoted disk: refuses with Shutdown until Stop(failover), serves from then on (also while the buffer is committed).
    /// Disposing it does nothing.</summary>
    public IBlockDevice ServingDevice => throw new NotSupportedException();

    /// <summary>The end of the background commit of a failover: true where the state is Done.</summary>
    public Task<bool> CommitCompletion => throw new NotSupportedException();

    /// <summary>Opens the secondary, and adopts the buffers that a previous process left: Running where replication ran, Failover (and
    /// commits again) where it was being promoted.</summary>
    /// <param name="options">Which volume.</param>
    /// <param name="secondaryDisk">Not owned: the caller disposes it afterwards.</param>
    /// <param name="epochs">Of this replica; its pairs are disposed with the replica, their files stay.</param>
    /// <param name="terms">Of this node and volume.</param>
    /// <param name="term">Under which this node is secondary.</param>
    /// <param name="time">Of all timeouts.</param>
    /// <param name="observer">Told what happens.</param>
    public static ValueTask<SecondaryReplica> OpenAsync(
        SecondaryReplicaOptions options,
        IBlockDevice secondaryDisk,
        IEpochStore epochs,
        ITermStore terms,
        Term term,
        TimeProvider time,
        IReplicationObserver? observer = null) => throw new NotSupportedException();

    /// <summary>What a primary of <paramref name="term"/> writes to; make one for each connection or export. Refuses with Shutdown before
    /// Start, once a higher term was seen, and once promoted. Disposing it ends that access, not the replica.</summary>
    public ReplicationTarget OpenTarget(Term term) => throw new NotSupportedException();

    /// <summary>Empties both buffers and begins copy-before-write.</summary>
    /// <param name="term">Of the primary to come.</param>
    /// <param name="filling">A full resync follows: nothing is copied before write, and there is no view, until the first checkpoint.</param>
    public ValueTask StartAsync(Term term, bool filling) => throw new NotSupportedException();

    /// <summary>Drops both buffers at once: what the VM sees is now the secondary disk. Every forward called before belongs to the epoch
    /// that this closes, every one called after to the next.</summary>
    public ValueTask<CheckpointReport> CheckpointAsync(Term term) => throw new NotSupportedException();

    public LatchedError? GetError(Term term) => throw new NotSupportedException();

    /// <summary>Failover: serves what <paramref name="recoveryPoint"/> says, at once. Otherwise: a last checkpoint, then done.</summary>
    public ValueTask StopAsync(Term term, bool failover, RecoveryPoint recoveryPoint) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => throw new NotSupportedException();
}

/// <summary>The secondary disk as one primary of one term writes to it.</summary>
public sealed class ReplicationTarget : IBlockDevice
{
    private ReplicationTarget() => throw new NotSupportedException();

    public Term Term => throw new NotSupportedException();

    public long LengthBytes => throw new NotSupportedException();

    public DeviceCapabilities Capabilities => throw new NotSupportedException();

    /// <summary>The checkpoint in the order of this connection's requests (<see cref="IReplicationLink.CarriesCheckpoints"/>).</summary>
    public ValueTask<BlockStatus> CheckpointAsync() => throw new NotSupportedException();

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
