using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The primary's disk as its guest uses it: every write goes to the local disk and to the secondary, and is acknowledged when both have
/// it, or when the arbiter has recorded that the secondary misses it. What the guest was told is never taken back.
/// </summary>
/// <remarks>
/// This file is the public surface and the way of a request that need not wait; the constructor is the map of the parts. The calls that
/// change how requests go are in <see cref="PrimaryControl"/>.
/// </remarks>
public sealed class PrimaryReplica : IBlockDevice, IQuorumOwner
{
    private readonly IBlockDevice local;
    private readonly ReplicaLineage? lineage;
    private readonly WriteTracking? tracking;
    private readonly RequestGate gate = new();
    private readonly RangeLock inFlight = new();
    private readonly Divergence divergence;
    private readonly ServeSwitch serve;
    private readonly Quorum quorum;
    private readonly AloneWrite alone;
    private readonly SlowWrite slowWrite;
    private readonly SlowRead slowRead;
    private readonly LateAnswers late;
    private readonly QuorumJudge judge;
    private readonly RecordKeeper records;
    private readonly PrimaryTerm reign;
    private readonly PrimaryCheckpoint checkpoint;
    private readonly Resync resync;
    private readonly AttachedSecondary secondary;
    private readonly PrimaryControl control;

    private PrimaryReplica(
        PrimaryReplicaOptions options,
        IBlockDevice local,
        IArbiter arbiter,
        TermGuard terms,
        ReplicaLineage? lineage,
        TimeProvider time,
        IReplicationObserver observer)
    {
        this.local = local;
        this.lineage = lineage;
        SemaphoreSlim calls = new(1);
        OwnedTasks tasks = new();
        ErrorLatch errors = new(time, observer);
        divergence = new Divergence(local.LengthBytes);
        serve = new ServeSwitch(gate, divergence, observer);
        quorum = new Quorum(local, this, time);
        records = new RecordKeeper(options, arbiter, time, observer);
        secondary = new AttachedSecondary(quorum, divergence, tasks);
        reign = new PrimaryTerm(options.Term, options.Node, terms, records, serve, secondary, lineage);
        GoingAlone goingAlone = new(records, reign, secondary, serve, errors, divergence, inFlight, lineage, options, time, tasks);
        tracking = lineage is null
            ? null
            : new WriteTracking(options.ForwardTimeout, lineage, quorum, inFlight, divergence, serve, errors, time) { ForwardFailed = goingAlone.ForwardFailed };

        checkpoint = new PrimaryCheckpoint(secondary, gate, serve, errors, time, observer);
        ForwardWatchdog watchdog = new(options.ForwardTimeout, quorum, checkpoint, goingAlone, time);
        resync = new Resync(
            options, reign, goingAlone, checkpoint, quorum, gate, inFlight, serve, errors, divergence, lineage, calls, tasks, time, observer);
        ResyncChoice choice = new(options, records, serve, divergence, lineage);
        SecondaryAttach attach = new(
            reign, secondary, goingAlone, resync, choice, quorum, gate, serve, errors, lineage, tasks, time);
        control = new PrimaryControl(
            options, reign, attach, secondary, goingAlone, checkpoint, watchdog, serve, errors, calls, tasks, time, observer);
        if (tracking is not null)
        {
            tasks.Own(tracking.CoolAsync(tasks.Closing));
        }

        alone = new AloneWrite(local, gate, serve, errors, divergence, tracking);
        slowWrite = new SlowWrite(quorum, alone, gate, inFlight, serve, tracking);
        slowRead = new SlowRead(quorum, serve, errors, divergence, resync, secondary);
        late = new LateAnswers(records, reign, quorum, goingAlone, options, time, tasks);
        LocalRepair repair = new(quorum, serve, divergence, inFlight, time, tasks);
        judge = new QuorumJudge(quorum, serve, errors, divergence, repair, goingAlone, late);
    }

    public Term Term => reign.Value;

    public ReplicationState State => control.State;

    public ServeState ServeState => serve.State;

    /// <summary>For people: why the state is what it is.</summary>
    public string ServeReason => serve.Reason;

    /// <summary>As last read or written; null before the arbiter's first answer.</summary>
    public VolumeRecord? Record => records.Current;

    /// <summary>The open epoch: the one that the next checkpoint closes.</summary>
    public long Epoch => checkpoint.Epoch;

    public CheckpointReport? LastCheckpoint => checkpoint.Last;

    /// <summary>Of the resync that runs or ran last; null where there was none.</summary>
    public ResyncProgress? ResyncProgress => resync.Progress;

    /// <summary>The end of the resync that runs (or ran last): true where the secondary is recorded as InSync.</summary>
    public Task<bool> ResyncCompletion => resync.Completion;

    /// <summary>What the secondary that is attached was brought in sync by; null where there is none.</summary>
    public ResyncMode? AttachedMode => secondary.Current?.Mode;

    /// <summary>Ends when the arbiter has confirmed the term; fails with Superseded where a newer one exists.</summary>
    public Task Confirmed => reign.Confirmed;

    /// <summary>Which content this is, and what differs from the secondary's; null where none is kept.</summary>
    public LineageRecord? Lineage => lineage?.Record;

    /// <summary>Bytes that the secondary misses, as far as a map is kept.</summary>
    public long? BytesOutOfSync => lineage is { IsTracking: true } tracked ? tracked.DirtyBytes : null;

    /// <summary>Writes were acknowledged without a secondary since this replica was opened: it is not equal any more.</summary>
    public bool HasWrittenAlone => divergence.HasWrittenAlone;

    public long LengthBytes => local.LengthBytes;

    public DeviceCapabilities Capabilities => local.Capabilities;

    /// <summary>Opens the primary under the term of its options; I/O is held until the arbiter has confirmed it.</summary>
    /// <param name="options">Who, and under which term.</param>
    /// <param name="local">The primary disk (or a promoted secondary's serving device). Not owned: the caller disposes it afterwards.</param>
    /// <param name="arbiter">Asked before this replica goes on alone.</param>
    /// <param name="terms">Of this node and volume.</param>
    /// <param name="time">Of all timeouts.</param>
    /// <param name="observer">Told what happens.</param>
    /// <param name="lineage">Of this replica, not owned; without one every resync is a full copy.</param>
    /// <exception cref="StaleTermException">this node has seen a higher term.</exception>
    public static async ValueTask<PrimaryReplica> OpenAsync(
        PrimaryReplicaOptions options,
        IBlockDevice local,
        IArbiter arbiter,
        ITermStore terms,
        TimeProvider time,
        IReplicationObserver? observer = null,
        ReplicaLineage? lineage = null)
    {
        TermGuard guard = await TermGuard.OpenAsync(terms);
        await guard.AcceptAsync(options.Term);
        await (lineage?.BeginTermAsync(options.Term) ?? ValueTask.CompletedTask);
        PrimaryReplica replica = new(options, local, arbiter, guard, lineage, time, observer ?? SilentObserver.Instance);
        replica.control.Begin();
        return replica;
    }

    /// <summary>Starts replication to a secondary that was started before: <see cref="AttachSecondaryAsync"/>, the first time.</summary>
    public ValueTask StartAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token = default) =>
        control.AttachAsync(term, link, mode, token);

    /// <summary>
    /// Adds the one remote child. Returns when writes are forwarded and (Full, Recopy) the copy has begun; <see cref="ResyncCompletion"/>
    /// is its end. The link belongs to the replica from the call on, also where it throws.
    /// </summary>
    public ValueTask AttachSecondaryAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token = default) =>
        control.AttachAsync(term, link, mode, token);

    /// <summary>Removes the remote child: Stale is recorded before the next write is acknowledged; ends when it is.</summary>
    public ValueTask DetachSecondaryAsync(Term term, CancellationToken token = default) => control.DetachAsync(term, token);

    /// <summary>Closes the epoch on both sides.</summary>
    /// <exception cref="ReplicationException"><see cref="ReplicationFault.CheckpointFailed"/> with the latched error.</exception>
    public ValueTask<CheckpointReport> CheckpointAsync(Term term, CancellationToken token = default) =>
        control.CheckpointAsync(term, token);

    /// <summary>For a status: of whatever term, also of one that is over.</summary>
    public LatchedError? FirstError => control.FirstError;

    public LatchedError? GetError(Term term) => control.GetError(term);

    /// <summary>Failover: goes on alone. Otherwise: a last checkpoint, and then alone. State Done afterwards.</summary>
    public ValueTask StopAsync(Term term, bool failover, CancellationToken token = default) =>
        control.StopAsync(term, failover, token);

    /// <summary>Somebody has shown a newer term: all held and later I/O is refused from here on.</summary>
    public ValueTask FenceAsync(Term newer) => reign.FenceAsync(newer);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus refused = this.CheckRead(offsetBytes, destination.Length);
        if (refused != BlockStatus.Ok)
        {
            return new(refused);
        }

        if (serve.State is not (ServeState.Replicating or ServeState.Alone or ServeState.Suspended)
            || divergence.LocalFailed is not null
            || divergence.Unsure is not null)
        {
            return slowRead.RunAsync(offsetBytes, destination);
        }

        ValueTask<BlockStatus> read = local.ReadAsync(offsetBytes, destination);
        if (!read.IsCompletedSuccessfully)
        {
            return FinishReadAsync(read, offsetBytes, destination);
        }

        BlockStatus status = read.Result;
        return status == BlockStatus.Ok ? new(status) : slowRead.ReadRemoteAsync(status, offsetBytes, destination);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(offsetBytes, source.Length);
        if (refused != BlockStatus.Ok)
        {
            return new(refused);
        }

        if (!gate.TryEnter())
        {
            return slowWrite.RunAsync(RequestKind.Write, new(offsetBytes, source.Length), source, flags);
        }

        switch (serve.State)
        {
            case ServeState.Replicating when inFlight.TryAcquire(new(offsetBytes, source.Length), out RangeLock.Held held):
                if (tracking is null || (tracking.TryTouch(new(offsetBytes, source.Length)) && serve.State == ServeState.Replicating))
                {
                    return quorum.Write(held, offsetBytes, source, flags);
                }

                held.Dispose();
                goto default;
            case ServeState.Alone:
                return alone.WriteAsync(offsetBytes, source, flags);
            default:
                gate.Exit();
                return slowWrite.RunAsync(RequestKind.Write, new(offsetBytes, source.Length), source, flags);
        }
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckWrite(range.Offset, range.Length);
        if (refused != BlockStatus.Ok)
        {
            return new(refused);
        }

        if ((flags & RequestFlags.FastOnly) != 0)
        {
            // Decided beforehand, for both: one that refuses after the other has done it would leave them different.
            if (!CanZeroFast)
            {
                return new(BlockStatus.NotSupported);
            }

            flags &= ~RequestFlags.FastOnly;
        }

        return ZeroAsync(range, flags);
    }

    /// <summary>A discard leaves old bytes or zeroes, as each disk likes; replicas must be equal, so it is carried out as zeroes on both,
    /// and not at all where that would mean writing them.</summary>
    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        BlockStatus refused = this.CheckDiscard(range.Offset, range.Length);
        if (refused != BlockStatus.Ok || !CanZeroFast)
        {
            return new(refused);
        }

        return ZeroAsync(range, (flags & RequestFlags.ForceUnitAccess) | RequestFlags.MayUnmap);
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        if (!gate.TryEnter())
        {
            return slowWrite.RunAsync(RequestKind.Flush, default, default, RequestFlags.None);
        }

        switch (serve.State)
        {
            case ServeState.Replicating:
                return quorum.Flush();
            case ServeState.Alone:
                return alone.FlushAsync();
            default:
                gate.Exit();
                return slowWrite.RunAsync(RequestKind.Flush, default, default, RequestFlags.None);
        }
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus refused = this.CheckRead(range.Offset, range.Length);
        return refused == BlockStatus.Ok ? slowRead.GetExtentsAsync(range, extents, maxExtents) : new(refused);
    }

    public ValueTask DisposeAsync() => control.DisposeAsync();

    bool IQuorumOwner.TryAcknowledge(QuorumRequest request)
    {
        // Checked here, at acknowledgement: a request that was forwarded before the term was superseded may be answered after.
        if (request.Local != BlockStatus.Ok
            || request.Remote != BlockStatus.Ok
            || serve.State != ServeState.Replicating
            || !late.IsFresh(request))
        {
            return false;
        }

        if (divergence.LocalFailed is { } bitmap && request.Kind != RequestKind.Flush)
        {
            bitmap.Clear(request.Range);
        }

        request.ReleaseRange();
        gate.Exit();
        return true;
    }

    void IQuorumOwner.Judge(QuorumRequest request) => judge.Judge(request);

    private bool CanZeroFast => local.Capabilities.CanZeroFast && quorum.Remote is null or { Capabilities.CanZeroFast: true };

    private ValueTask<BlockStatus> ZeroAsync(BlockRange range, RequestFlags flags) =>
        tracking is null || range.Length <= WriteTracking.MaxRequestBytes
            ? slowWrite.RunAsync(RequestKind.Zero, range, default, flags)
            : ZeroPiecesAsync(range, flags);

    private async ValueTask<BlockStatus> ZeroPiecesAsync(BlockRange range, RequestFlags flags)
    {
        BlockStatus status = BlockStatus.Ok;
        for (long at = range.Offset; at < range.End && status == BlockStatus.Ok; at += WriteTracking.MaxRequestBytes)
        {
            BlockRange piece = BlockRange.FromTo(at, Math.Min(at + WriteTracking.MaxRequestBytes, range.End));
            status = await slowWrite.RunAsync(RequestKind.Zero, piece, default, flags);
        }

        return status;
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> FinishReadAsync(ValueTask<BlockStatus> read, long offsetBytes, Memory<byte> destination)
    {
        BlockStatus status = await read;
        return status == BlockStatus.Ok ? status : await slowRead.ReadRemoteAsync(status, offsetBytes, destination);
    }
}
