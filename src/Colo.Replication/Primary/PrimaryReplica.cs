using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The primary's disk as its guest uses it: every write goes to the local disk and to the secondary, and is acknowledged when both have
/// it, or when the arbiter has recorded that the secondary misses it. What the guest was told is never taken back.
/// </summary>
/// <remarks>This file is the way of a request; <see cref="PrimaryControl"/> holds the calls that change how requests go.</remarks>
public sealed class PrimaryReplica : IBlockDevice, IQuorumOwner
{
    private readonly IBlockDevice local;
    private readonly Quorum quorum;
    private readonly RequestGate gate;
    private readonly RangeLock inFlight;
    private readonly ServeSwitch serve;
    private readonly ErrorLatch errors;
    private readonly PrimaryControl control;
    private DirtyBitmap? diverged;

    private PrimaryReplica(
        PrimaryReplicaOptions options,
        IBlockDevice local,
        IArbiter arbiter,
        TermGuard terms,
        TimeProvider time,
        IReplicationObserver observer)
    {
        this.local = local;
        gate = new RequestGate();
        inFlight = new RangeLock();
        serve = new ServeSwitch(observer);
        errors = new ErrorLatch(time, observer);
        quorum = new Quorum(local, this, time);
        control = new PrimaryControl(options, this, quorum, gate, inFlight, serve, errors, arbiter, terms, time, observer);
    }

    public Term Term => control.Term;

    public ReplicationState State => control.State;

    public ServeState ServeState => serve.State;

    /// <summary>For people: why the state is what it is.</summary>
    public string ServeReason => serve.Reason;

    /// <summary>As last read or written; null before the arbiter's first answer.</summary>
    public VolumeRecord? Record => control.Record;

    /// <summary>The open epoch: the one that the next checkpoint closes.</summary>
    public long Epoch => control.Epoch;

    public CheckpointReport? LastCheckpoint => control.LastCheckpoint;

    /// <summary>Of the resync that runs or ran last; null where there was none.</summary>
    public ResyncProgress? ResyncProgress => control.ResyncProgress;

    /// <summary>The end of the resync that runs (or ran last): true where the secondary is recorded as InSync.</summary>
    public Task<bool> ResyncCompletion => control.ResyncCompletion;

    /// <summary>Ends when the arbiter has confirmed the term; fails with Superseded where a newer one exists.</summary>
    public Task Confirmed => control.Confirmed;

    /// <summary>Writes were acknowledged without a secondary since this replica was opened: a full resync is needed.</summary>
    public bool HasWrittenAlone { get; private set; }

    public long LengthBytes => local.LengthBytes;

    public DeviceCapabilities Capabilities => local.Capabilities;

    /// <summary>Opens the primary under the term of its options; I/O is held until the arbiter has confirmed it.</summary>
    /// <param name="options">Who, and under which term.</param>
    /// <param name="local">The primary disk (or a promoted secondary's serving device). Not owned: the caller disposes it afterwards.</param>
    /// <param name="arbiter">Asked before this replica goes on alone.</param>
    /// <param name="terms">Of this node and volume.</param>
    /// <param name="time">Of all timeouts.</param>
    /// <param name="observer">Told what happens.</param>
    /// <exception cref="StaleTermException">this node has seen a higher term.</exception>
    public static async ValueTask<PrimaryReplica> OpenAsync(
        PrimaryReplicaOptions options,
        IBlockDevice local,
        IArbiter arbiter,
        ITermStore terms,
        TimeProvider time,
        IReplicationObserver? observer = null)
    {
        TermGuard guard = await TermGuard.OpenAsync(terms);
        await guard.AcceptAsync(options.Term);
        PrimaryReplica replica = new(options, local, arbiter, guard, time, observer ?? SilentObserver.Instance);
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

    public LatchedError? GetError(Term term) => control.GetError(term);

    /// <summary>Failover: goes on alone. Otherwise: a last checkpoint, and then alone. State Done afterwards.</summary>
    public ValueTask StopAsync(Term term, bool failover, CancellationToken token = default) =>
        control.StopAsync(term, failover, token);

    /// <summary>Somebody has shown a newer term: all held and later I/O is refused from here on.</summary>
    public ValueTask FenceAsync(Term newer) => control.FenceAsync(newer);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockStatus refused = this.CheckRead(offsetBytes, destination.Length);
        if (refused != BlockStatus.Ok)
        {
            return new(refused);
        }

        if (serve.State is not (ServeState.Replicating or ServeState.Alone or ServeState.Suspended)
            || Volatile.Read(ref diverged) is not null
            || control.Unsure is not null)
        {
            return ReadSlowAsync(offsetBytes, destination);
        }

        ValueTask<BlockStatus> read = local.ReadAsync(offsetBytes, destination);
        if (!read.IsCompletedSuccessfully)
        {
            return FinishReadAsync(read, offsetBytes, destination);
        }

        BlockStatus status = read.Result;
        return status == BlockStatus.Ok ? new(status) : ReadRemoteAsync(status, offsetBytes, destination);
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
            return SlowAsync(RequestKind.Write, new(offsetBytes, source.Length), source, flags);
        }

        switch (serve.State)
        {
            case ServeState.Replicating when inFlight.TryAcquire(new(offsetBytes, source.Length), out RangeLock.Held held):
                return quorum.Write(held, offsetBytes, source, flags);
            case ServeState.Alone:
                HasWrittenAlone = true;
                return FinishAlone(local.WriteAsync(offsetBytes, source, flags));
            default:
                gate.Exit();
                return SlowAsync(RequestKind.Write, new(offsetBytes, source.Length), source, flags);
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

        return SlowAsync(RequestKind.Zero, range, default, flags);
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

        return SlowAsync(RequestKind.Zero, range, default, (flags & RequestFlags.ForceUnitAccess) | RequestFlags.MayUnmap);
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        if (!gate.TryEnter())
        {
            return SlowAsync(RequestKind.Flush, default, default, RequestFlags.None);
        }

        switch (serve.State)
        {
            case ServeState.Replicating:
                return quorum.Flush();
            case ServeState.Alone:
                return FinishAlone(local.FlushAsync());
            default:
                gate.Exit();
                return SlowAsync(RequestKind.Flush, default, default, RequestFlags.None);
        }
    }

    public async ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        BlockStatus refused = this.CheckRead(range.Offset, range.Length);
        while (refused == BlockStatus.Ok)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Fenced or ServeState.Closed:
                    return BlockStatus.Shutdown;
                case ServeState.Confirming or ServeState.Waiting:
                    await changed;
                    continue;
            }

            if (control.Unsure is null && Volatile.Read(ref diverged) is null)
            {
                return await local.GetExtentsAsync(range, extents, maxExtents);
            }

            // "Reads as zeroes" would be a read of what may still change; data may be anything.
            extents.Add(new(range, ExtentKind.Data));
            return BlockStatus.Ok;
        }

        return refused;
    }

    public ValueTask DisposeAsync() => control.DisposeAsync();

    bool IQuorumOwner.TryAcknowledge(QuorumRequest request)
    {
        // Checked here, at acknowledgement: a request that was forwarded before the term was superseded may be answered after.
        if (request.Local != BlockStatus.Ok || request.Remote != BlockStatus.Ok || serve.State != ServeState.Replicating)
        {
            return false;
        }

        if (Volatile.Read(ref diverged) is { } bitmap && request.Kind != RequestKind.Flush)
        {
            bitmap.Clear(request.Range);
        }

        LetGo(request);
        return true;
    }

    void IQuorumOwner.Judge(QuorumRequest request)
    {
        if (request.Kind == RequestKind.Zero
            && (request.Local == BlockStatus.NotSupported || request.Remote == BlockStatus.NotSupported)
            && !serve.IsOver)
        {
            _ = WriteZeroBytesAsync(request);
            return;
        }

        if (request.Remote != BlockStatus.Ok)
        {
            control.ForwardFailed($"forward of {Describe(request)} was answered {request.Remote}", request.Remote);
        }

        if (request.Local != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, request.Local, $"{Describe(request)} on the primary disk: {request.Local}");
            if (request.Remote == BlockStatus.Ok && request.Kind != RequestKind.Flush && serve.State == ServeState.Replicating)
            {
                _ = ConvergeAsync(request);
                return;
            }
        }

        HoldOrEnd(request);
    }

    /// <summary>Answers what was held: with what the local disk said, now that the record allows it, or not at all.</summary>
    internal void EndHeld(QuorumRequest[] released)
    {
        foreach (QuorumRequest request in released)
        {
            HoldOrEnd(request);
        }
    }

    /// <summary>The secondary is gone, and the record says so: what differs from it no longer matters.</summary>
    internal void ForgetDivergence() => Volatile.Write(ref diverged, null);

    private bool CanZeroFast => local.Capabilities.CanZeroFast && quorum.Remote is null or { Capabilities.CanZeroFast: true };

    private static string Describe(QuorumRequest request) =>
        request.Kind == RequestKind.Flush ? "a flush" : $"{(request.Kind == RequestKind.Zero ? "zeroes" : "a write")} at {request.Range}";

    private void HoldOrEnd(QuorumRequest request)
    {
        if (!serve.TryHold(request))
        {
            End(request, serve.IsOver ? BlockStatus.Shutdown : request.Local);
        }
    }

    private void End(QuorumRequest request, BlockStatus status)
    {
        HasWrittenAlone |= request.Kind != RequestKind.Flush && request.Remote != BlockStatus.Ok;
        LetGo(request);
        request.Finish(status);
    }

    private void LetGo(QuorumRequest request)
    {
        RangeLock.Held held = request.Held;
        request.Held = default;
        held.Dispose();
        gate.Exit();
    }

    private ValueTask<BlockStatus> FinishAlone(ValueTask<BlockStatus> written)
    {
        if (!written.IsCompletedSuccessfully)
        {
            return FinishAloneAsync(written);
        }

        gate.Exit();
        BlockStatus status = written.Result;
        return status == BlockStatus.Ok && serve.State == ServeState.Alone ? new(status) : new(FailedAlone(status));
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> FinishAloneAsync(ValueTask<BlockStatus> written)
    {
        BlockStatus status = await written;
        gate.Exit();
        return status == BlockStatus.Ok && serve.State == ServeState.Alone ? status : FailedAlone(status);
    }

    private BlockStatus FailedAlone(BlockStatus status)
    {
        if (status != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, status, $"a write or flush on the primary disk: {status}");
        }

        return serve.IsOver ? BlockStatus.Shutdown : status;
    }

    /// <summary>A write that has to wait: for the gate, for the state, or for an overlapping one in flight. Also the way of all zeroes.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> SlowAsync(RequestKind kind, BlockRange range, ReadOnlyMemory<byte> source, RequestFlags flags)
    {
        while (true)
        {
            await gate.EnterAsync();
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Fenced or ServeState.Closed:
                    gate.Exit();
                    return BlockStatus.Shutdown;
                case ServeState.Alone:
                    HasWrittenAlone |= kind != RequestKind.Flush;
                    return await FinishAlone(kind switch
                    {
                        RequestKind.Write => local.WriteAsync(range.Offset, source, flags),
                        RequestKind.Zero => ZeroFallback.WriteZeroesAsync(local, range, flags),
                        _ => local.FlushAsync(),
                    });
                case ServeState.Replicating when kind == RequestKind.Flush:
                    return await quorum.Flush();
                case ServeState.Replicating:
                    RangeLock.Held held = await inFlight.AcquireAsync(range);
                    if (serve.State == ServeState.Replicating)
                    {
                        return await (kind == RequestKind.Write
                            ? quorum.Write(held, range.Offset, source, flags)
                            : quorum.Zero(held, range, flags));
                    }

                    held.Dispose();
                    gate.Exit();
                    continue;
                default:
                    gate.Exit();
                    await changed;
                    continue;
            }
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<BlockStatus> FinishReadAsync(ValueTask<BlockStatus> read, long offsetBytes, Memory<byte> destination)
    {
        BlockStatus status = await read;
        return status == BlockStatus.Ok ? status : await ReadRemoteAsync(status, offsetBytes, destination);
    }

    /// <summary>Fifo: the second child is asked where the first has failed, and only while it holds everything.</summary>
    private async ValueTask<BlockStatus> ReadRemoteAsync(BlockStatus localStatus, long offsetBytes, Memory<byte> destination)
    {
        errors.Report(
            ReplicationError.PrimaryDisk,
            localStatus,
            $"a read of {destination.Length} bytes at {offsetBytes} of the primary disk: {localStatus}");
        return serve.State == ServeState.Replicating
            && control.IsRemoteReadable
            && quorum.Remote is { } remote
            && await remote.ReadAsync(offsetBytes, destination) == BlockStatus.Ok
            ? BlockStatus.Ok
            : localStatus;
    }

    private async ValueTask<BlockStatus> ReadSlowAsync(long offsetBytes, Memory<byte> destination)
    {
        BlockRange range = new(offsetBytes, destination.Length);
        while (true)
        {
            Task changed = serve.Changed;
            ServeState state = serve.State;
            if (state is ServeState.Fenced or ServeState.Closed)
            {
                return BlockStatus.Shutdown;
            }

            if (state is ServeState.Confirming or ServeState.Waiting)
            {
                await changed;
                continue;
            }

            if (state != ServeState.Alone && control.Unsure is { } unsure && unsure.IsAnySet(range))
            {
                // What a guest has read once must not change by a failover: both replicas get the same bytes first.
                if (state != ServeState.Replicating || !await control.SettleAsync(range.ExpandTo(unsure.GrainBytes, LengthBytes)))
                {
                    await changed;
                }

                continue;
            }

            if (state == ServeState.Replicating
                && Volatile.Read(ref diverged) is { } bitmap
                && bitmap.IsAnySet(range)
                && quorum.Remote is { } remote
                && await remote.ReadAsync(offsetBytes, destination) == BlockStatus.Ok)
            {
                return BlockStatus.Ok;
            }

            BlockStatus status = await local.ReadAsync(offsetBytes, destination);
            return status == BlockStatus.Ok ? status : await ReadRemoteAsync(status, offsetBytes, destination);
        }
    }

    /// <summary>A child that cannot zero gets zero bytes. Owned by the request: its guest waits for it.</summary>
    private async Task WriteZeroBytesAsync(QuorumRequest request)
    {
        if (request.Remote == BlockStatus.NotSupported)
        {
            request.Remote = quorum.Remote is { } remote
                ? await ZeroFallback.WriteBytesAsync(remote, request.Range, request.Flags)
                : BlockStatus.Shutdown;
        }

        if (request.Local == BlockStatus.NotSupported)
        {
            request.Local = await ZeroFallback.WriteBytesAsync(local, request.Range, request.Flags);
        }

        // Whatever these answered, it is not asked a second time.
        request.Remote = request.Remote == BlockStatus.NotSupported ? BlockStatus.IoError : request.Remote;
        request.Local = request.Local == BlockStatus.NotSupported ? BlockStatus.IoError : request.Local;
        IQuorumOwner owner = this;
        if (owner.TryAcknowledge(request))
        {
            request.Finish(BlockStatus.Ok);
        }
        else
        {
            owner.Judge(request);
        }
    }

    /// <summary>
    /// The local write failed, the forward did not: the replicas differ. The guest gets its error, and either content is legal, but they
    /// must be equal again before it reads: what the local disk holds now goes to the secondary; what it cannot even read is read from
    /// the secondary from here on, until a write succeeds there. Owned by the request, under its range.
    /// </summary>
    private async Task ConvergeAsync(QuorumRequest request)
    {
        const int PieceBytes = 1 << 20;
        BlockRange range = request.Range;
        for (long offset = range.Offset; offset < range.End; offset += PieceBytes)
        {
            BlockRange piece = BlockRange.FromTo(offset, Math.Min(offset + PieceBytes, range.End));
            using PooledBuffer buffer = await BufferPool.Shared.RentAsync((int)piece.Length, CancellationToken.None);
            if (await local.ReadAsync(offset, buffer.Memory) != BlockStatus.Ok)
            {
                MarkDiverged(piece);
                continue;
            }

            BlockStatus sent = quorum.Remote is { } remote ? await remote.WriteAsync(offset, buffer.Memory) : BlockStatus.Shutdown;
            if (sent != BlockStatus.Ok)
            {
                control.ForwardFailed($"making {piece} equal after a local error was answered {sent}", sent);
                break;
            }
        }

        HoldOrEnd(request);
    }

    private void MarkDiverged(BlockRange range)
    {
        const int GrainBytes = 4096;
        DirtyBitmap bitmap = Volatile.Read(ref diverged) ?? new DirtyBitmap(LengthBytes, GrainBytes);
        bitmap.Set(range);
        bitmap = Interlocked.CompareExchange(ref diverged, bitmap, null) ?? bitmap;
        bitmap.Set(range);
    }
}
