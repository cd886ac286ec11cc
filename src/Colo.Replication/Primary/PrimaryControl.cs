using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The calls on a primary, and what happens to it by itself: it confirms its term, attaches and loses its secondary, checkpoints, goes
/// on alone, is fenced. Calls run one at a time; losing the secondary and being fenced interrupt them.
/// </summary>
internal sealed class PrimaryControl : IAsyncDisposable
{
    private readonly PrimaryReplicaOptions options;
    private readonly PrimaryReplica replica;
    private readonly Quorum quorum;
    private readonly RequestGate gate;
    private readonly RangeLock inFlight;
    private readonly ServeSwitch serve;
    private readonly ErrorLatch errors;
    private readonly TermGuard terms;
    private readonly TimeProvider time;
    private readonly IReplicationObserver observer;
    private readonly RecordKeeper records;
    private readonly SemaphoreSlim calls = new(1);
    private readonly CancellationTokenSource closing = new();
    private readonly TaskCompletionSource confirmed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock tasksGate = new();
    private readonly List<Task> tasks = [];
    private Attachment? attachment;
    private DirtyBitmap? unsure;
    private Resync? resync;
    private Task goingAlone = Task.CompletedTask;
    private ITimer? watchdog;
    private long checkpointSentAt;

    public PrimaryControl(
        PrimaryReplicaOptions options,
        PrimaryReplica replica,
        Quorum quorum,
        RequestGate gate,
        RangeLock inFlight,
        ServeSwitch serve,
        ErrorLatch errors,
        IArbiter arbiter,
        TermGuard terms,
        TimeProvider time,
        IReplicationObserver observer)
    {
        this.options = options;
        this.replica = replica;
        this.quorum = quorum;
        this.gate = gate;
        this.inFlight = inFlight;
        this.serve = serve;
        this.errors = errors;
        this.terms = terms;
        this.time = time;
        this.observer = observer;
        records = new RecordKeeper(options, arbiter, time, observer);

        // Whoever never asks for Confirmed must not be told of it by the finalizer.
        _ = confirmed.Task.ContinueWith(
            static ended => _ = ended.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    public Term Term => options.Term;

    public ReplicationState State { get; private set; }

    public VolumeRecord? Record => records.Current;

    public long Epoch { get; private set; } = 1;

    public CheckpointReport? LastCheckpoint { get; private set; }

    public ResyncProgress? ResyncProgress => Volatile.Read(ref resync)?.Progress;

    public Task<bool> ResyncCompletion { get; private set; } = Task.FromResult(true);

    public Task Confirmed => confirmed.Task;

    /// <summary>What may differ from the secondary since a crash: until all of it was made equal, or the secondary is recorded as Stale.</summary>
    public DirtyBitmap? Unsure => Volatile.Read(ref unsure);

    public bool IsRemoteReadable => Volatile.Read(ref attachment) is { IsReadable: true };

    public void Begin()
    {
        watchdog = time.CreateTimer(_ => LookForHungForward(), null, options.ForwardTimeout / 4, options.ForwardTimeout / 4);
        Own(Task.Run(ConfirmAsync));
    }

    public async ValueTask AttachAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token)
    {
        bool attached = false;
        try
        {
            await CheckTermAsync(term);
            await calls.WaitAsync(token);
            try
            {
                attached = await AttachOneAsync(link, mode, token);
            }
            finally
            {
                calls.Release();
            }
        }
        finally
        {
            if (!attached)
            {
                await link.DisposeAsync();
            }
        }
    }

    public async ValueTask DetachAsync(Term term, CancellationToken token)
    {
        await CheckTermAsync(term);
        await Confirmed.WaitAsync(token);
        await GoAloneAndWaitAsync("the secondary was detached", token);
    }

    public async ValueTask<CheckpointReport> CheckpointAsync(Term term, CancellationToken token)
    {
        await CheckTermAsync(term);
        await calls.WaitAsync(token);
        try
        {
            ReplicationTransitions.Next(State, ReplicationEvent.Checkpoint);
            return State == ReplicationState.Running
                ? await CheckpointOneAsync(token)
                : LastCheckpoint ?? new(Epoch, TimeSpan.Zero, TimeSpan.Zero, time.GetUtcNow());
        }
        finally
        {
            calls.Release();
        }
    }

    public LatchedError? GetError(Term term)
    {
        terms.Refuse(term);
        return errors.First;
    }

    public async ValueTask StopAsync(Term term, bool failover, CancellationToken token)
    {
        await CheckTermAsync(term);
        await calls.WaitAsync(token);
        try
        {
            ReplicationState next =
                ReplicationTransitions.Next(State, failover ? ReplicationEvent.FailoverAtOnce : ReplicationEvent.Stop);
            if (next == State)
            {
                return;
            }

            if (!failover)
            {
                await CheckpointOneAsync(token);
            }

            await GoAloneAndWaitAsync(failover ? "failover: goes on alone" : "replication was stopped", token);
            Enter(next);
        }
        finally
        {
            calls.Release();
        }
    }

    public async ValueTask FenceAsync(Term newer)
    {
        if (newer <= options.Term)
        {
            throw new StaleTermException(newer, options.Term);
        }

        await terms.AcceptAsync(newer);
        Fence($"{newer} was shown to this node");
    }

    /// <summary>Called on the I/O path: the link is lost, whatever it was that failed.</summary>
    public void ForwardFailed(string reason, BlockStatus status) =>
        BeginGoingAlone(reason, status, [ServeState.Replicating]);

    public async ValueTask<bool> SettleAsync(BlockRange range)
    {
        Resync? running = Volatile.Read(ref resync);
        if (running is null || await running.CopyAsync(range))
        {
            return running is not null;
        }

        CopyFailed(running);
        return false;
    }

    public async ValueTask DisposeAsync()
    {
        if (serve.TryChange(
            [ServeState.Confirming, ServeState.Waiting, ServeState.Replicating, ServeState.Suspended, ServeState.Alone, ServeState.Fenced],
            ServeState.Closed,
            "closed",
            out QuorumRequest[] released))
        {
            replica.EndHeld(released);
        }

        confirmed.TrySetCanceled(CancellationToken.None);
        await closing.CancelAsync();
        if (watchdog is not null)
        {
            await watchdog.DisposeAsync();
        }

        LetGoOfSecondary();
        Task[] owned;
        lock (tasksGate)
        {
            owned = [.. tasks];
        }

        await Task.WhenAll(owned).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task ConfirmAsync()
    {
        RecordOutcome outcome = await records.ConfirmAsync(closing.Token);
        if (outcome == RecordOutcome.Superseded)
        {
            Fence($"the record says {records.Current}");
            return;
        }

        bool inSync = records.Current!.SecondaryState == SecondaryState.InSync;
        Serve(
            [ServeState.Confirming],
            inSync ? ServeState.Waiting : ServeState.Alone,
            inSync ? $"waits for its secondary {records.Current.Secondary}" : "there is no secondary in sync");
        confirmed.TrySetResult();
        if (inSync)
        {
            await Task.Delay(options.AttachTimeout, time, closing.Token);
            BeginGoingAlone(
                $"the secondary was not attached within {options.AttachTimeout}", BlockStatus.Shutdown, [ServeState.Waiting]);
        }
    }

    /// <summary>A lower term is refused; a higher one means that this replica's reign is over.</summary>
    private async ValueTask CheckTermAsync(Term term)
    {
        if (await terms.AcceptAsync(term) || term > options.Term)
        {
            Fence($"{term} was shown to this node");
        }

        if (serve.State == ServeState.Fenced)
        {
            throw new ReplicationException(ReplicationFault.Superseded, $"{options.Term} is over: {serve.Reason}");
        }
    }

    private async Task<bool> AttachOneAsync(IReplicationLink link, ResyncMode mode, CancellationToken token)
    {
        if (State == ReplicationState.Done)
        {
            return false;
        }

        await Confirmed.WaitAsync(token);
        RequireFit(link);
        await WaitUntilAloneOrWaitingAsync(token);
        RequireMode(link, mode);
        if (mode == ResyncMode.Full)
        {
            // Before the first byte: a half-filled secondary must never look like one that can be promoted.
            await RecordAsync(link.PeerNode, SecondaryState.Syncing, token);
        }

        Attachment added = new(link, mode, replica.LengthBytes);
        Resync? copy = mode == ResyncMode.None ? null : new(added, quorum.Local, gate, inFlight, options, time, observer);
        await SwitchToReplicatingAsync(added, copy, token);
        if (State == ReplicationState.None)
        {
            Enter(ReplicationTransitions.Next(State, ReplicationEvent.Start));
        }

        Own(WatchAsync(added));
        if (copy is null)
        {
            // After the switch: from there on every acknowledged write is on both.
            await RecordInSyncAsync(added, token);
        }
        else
        {
            ResyncCompletion = Task.Run(() => ResyncAsync(copy, added));
            Own(ResyncCompletion);
        }

        return true;
    }

    private void RequireFit(IReplicationLink link)
    {
        if (link.LengthBytes != replica.LengthBytes)
        {
            throw new ReplicationException(
                ReplicationFault.Mismatch,
                $"the secondary disk has {link.LengthBytes} bytes, the primary disk {replica.LengthBytes}");
        }

        if (link.Capabilities.IsReadOnly || link.Capabilities.MinimumBlockBytes > replica.Capabilities.MinimumBlockBytes)
        {
            throw new ReplicationException(
                ReplicationFault.Mismatch,
                $"the secondary disk is read-only, or takes only multiples of {link.Capabilities.MinimumBlockBytes} bytes");
        }
    }

    private void RequireMode(IReplicationLink link, ResyncMode mode)
    {
        VolumeRecord record = records.Current!;
        bool isItsSecondary = record.SecondaryState == SecondaryState.InSync && record.Secondary == link.PeerNode;
        string? refusal = mode switch
        {
            ResyncMode.None when serve.State == ServeState.Waiting && !isItsSecondary =>
                $"{link.PeerNode} is not the secondary of {record}",
            ResyncMode.None when replica.HasWrittenAlone => "writes were acknowledged without the secondary: a full resync is needed",
            ResyncMode.Recopy when serve.State != ServeState.Waiting || !isItsSecondary =>
                $"a re-copy needs a secondary that is in sync by the record, which is {record}",
            _ => null,
        };
        if (refusal is not null)
        {
            throw new ReplicationException(ReplicationFault.WrongState, refusal);
        }
    }

    private async Task WaitUntilAloneOrWaitingAsync(CancellationToken token)
    {
        while (true)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Alone or ServeState.Waiting:
                    return;
                case ServeState.Replicating:
                    throw new ReplicationException(
                        ReplicationFault.WrongState, "a secondary is attached: there is exactly one, detach it first");
                case ServeState.Fenced or ServeState.Closed:
                    throw new ReplicationException(ReplicationFault.Superseded, serve.Reason);
            }

            await changed.WaitAsync(token);
        }
    }

    /// <summary>No write may be under way to the local disk alone when the first one is forwarded: the copier would miss it.</summary>
    private async Task SwitchToReplicatingAsync(Attachment added, Resync? copy, CancellationToken token)
    {
        gate.Hold();
        try
        {
            await gate.DrainAsync().WaitAsync(token);
            if (added.Mode == ResyncMode.None && replica.HasWrittenAlone)
            {
                throw new ReplicationException(
                    ReplicationFault.WrongState, "writes were acknowledged without the secondary: a full resync is needed");
            }

            quorum.AddChild(added.Link);
            Volatile.Write(ref attachment, added);
            Volatile.Write(ref unsure, added.Unsure);
            if (copy is not null)
            {
                // Before the switch: it releases reads that settle their range through this very copy.
                Volatile.Write(ref resync, copy);
            }

            if (!Serve([ServeState.Alone, ServeState.Waiting], ServeState.Replicating, $"with {added.Link.PeerNode}"))
            {
                Volatile.Write(ref attachment, null);
                quorum.RemoveChild();
                copy?.End(completed: false, serve.Reason);
                throw new ReplicationException(ReplicationFault.WrongState, $"{serve.State} meanwhile: {serve.Reason}");
            }
        }
        finally
        {
            gate.Release();
        }
    }

    private async Task RecordAsync(string secondary, SecondaryState state, CancellationToken token)
    {
        RecordOutcome outcome = await records.SetSecondaryAsync(secondary, state, token);
        if (outcome == RecordOutcome.Superseded)
        {
            Fence($"the record says {records.Current}");
            throw new ReplicationException(ReplicationFault.Superseded, $"{options.Term} is over: {serve.Reason}");
        }
    }

    private async Task RecordInSyncAsync(Attachment added, CancellationToken token)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, added.Stopped);
        try
        {
            await RecordAsync(added.Link.PeerNode, SecondaryState.InSync, either.Token);
        }
        catch (OperationCanceledException) when (added.Stopped.IsCancellationRequested)
        {
            throw new ReplicationException(
                ReplicationFault.Failed, $"the secondary was lost while it was attached: {serve.Reason}", errors.First);
        }
    }

    private async Task WatchAsync(Attachment watched)
    {
        Task<string> lost = watched.Link.Lost;
        Task stopped = Task.Delay(Timeout.InfiniteTimeSpan, time, watched.Stopped);
        if (await Task.WhenAny(lost, stopped) == lost && ReferenceEquals(Volatile.Read(ref attachment), watched))
        {
            string reason = lost.IsCompletedSuccessfully ? await lost : "the link failed";
            ForwardFailed($"the link to {watched.Link.PeerNode} is lost: {reason}", BlockStatus.IoError);
        }
    }

    private async Task<bool> ResyncAsync(Resync copy, Attachment filled)
    {
        bool done = false;
        try
        {
            if (!await copy.CopyAllAsync())
            {
                CopyFailed(copy);
            }
            else
            {
                done = await FinishResyncAsync(filled);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ReplicationException)
        {
            copy.End(completed: false, e.Message);
            return false;
        }

        copy.End(done);
        return done;
    }

    /// <summary>InSync only after durable answers; and with a checkpoint before, so that a promotion finds a view of one moment.</summary>
    private async Task<bool> FinishResyncAsync(Attachment filled)
    {
        BlockStatus remote = await filled.Link.FlushAsync();
        if (remote != BlockStatus.Ok)
        {
            ForwardFailed($"the flush that ends the resync was answered {remote}", remote);
            return false;
        }

        BlockStatus flushed = await quorum.Local.FlushAsync();
        if (flushed != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, flushed, $"the flush that ends the resync: {flushed}");
            BeginGoingAlone("the primary disk cannot be flushed", flushed, [ServeState.Replicating]);
            return false;
        }

        if (filled.Mode == ResyncMode.Recopy)
        {
            Volatile.Write(ref unsure, null);
            return true;
        }

        await calls.WaitAsync(filled.Stopped);
        try
        {
            await CheckpointLinkAsync(filled, filled.Stopped);
            await RecordAsync(filled.Link.PeerNode, SecondaryState.InSync, filled.Stopped);
            filled.IsReadable = true;
            return serve.State == ServeState.Replicating;
        }
        catch (ReplicationException e) when (e.Fault == ReplicationFault.CheckpointFailed)
        {
            ForwardFailed(e.Message, BlockStatus.IoError);
            return false;
        }
        finally
        {
            calls.Release();
        }
    }

    private void CopyFailed(Resync copy)
    {
        if (copy.FailedStatus == BlockStatus.Ok)
        {
            return;
        }

        string reason = copy.Progress.Failure ?? $"the copy failed: {copy.FailedStatus}";
        if (copy.FailedSide == ReplicationError.PrimaryDisk)
        {
            errors.Report(ReplicationError.PrimaryDisk, copy.FailedStatus, reason);
        }

        ForwardFailed($"resync: {reason}", copy.FailedStatus);
    }

    private async Task<CheckpointReport> CheckpointOneAsync(CancellationToken token)
    {
        Attachment? with = Volatile.Read(ref attachment);
        if (serve.State != ServeState.Replicating || with is null)
        {
            throw CheckpointFailed($"there is no secondary ({serve.State}: {serve.Reason})");
        }

        if (!with.IsReadable)
        {
            throw CheckpointFailed("the secondary is being filled");
        }

        return await CheckpointLinkAsync(with, token);
    }

    private async Task<CheckpointReport> CheckpointLinkAsync(Attachment with, CancellationToken token)
    {
        long begun = time.GetTimestamp();
        LatchedError? before = errors.First;
        TimeSpan pause = TimeSpan.Zero;
        BlockStatus status;
        if (with.Link.CarriesCheckpoints)
        {
            status = await SendCheckpointAsync(with);
        }
        else
        {
            gate.Hold();
            try
            {
                await DrainOrFailAsync(with, token);
                status = await SendCheckpointAsync(with);
            }
            finally
            {
                gate.Release();
                pause = time.GetElapsedTime(begun);
            }
        }

        if (status != BlockStatus.Ok)
        {
            throw CheckpointFailed(with.Link.CheckpointFailure ?? $"the secondary answered {status}");
        }

        CheckpointReport report = new(Epoch, pause, time.GetElapsedTime(begun), time.GetUtcNow());
        Epoch++;
        LastCheckpoint = report;
        errors.ClearIf(before);
        observer.Checkpointed(report);
        return report;
    }

    /// <summary>Writes in flight whose forward has failed are held, and would never drain: the checkpoint ends then.</summary>
    private async Task DrainOrFailAsync(Attachment with, CancellationToken token)
    {
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(token, with.Stopped);
        try
        {
            await gate.DrainAsync().WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (with.Stopped.IsCancellationRequested)
        {
            throw CheckpointFailed(serve.Reason);
        }

        if (serve.State != ServeState.Replicating)
        {
            throw CheckpointFailed(serve.Reason);
        }
    }

    private async Task<BlockStatus> SendCheckpointAsync(Attachment with)
    {
        Volatile.Write(ref checkpointSentAt, time.GetTimestamp());
        try
        {
            return await with.Link.CheckpointAsync(Epoch);
        }
        finally
        {
            Volatile.Write(ref checkpointSentAt, 0);
        }
    }

    private ReplicationException CheckpointFailed(string reason) => new(
        ReplicationFault.CheckpointFailed,
        $"the checkpoint of epoch {Epoch} failed: {reason}" + (errors.First is { } error ? $"; {error}" : string.Empty),
        errors.First);

    private void LookForHungForward()
    {
        long sentAt = Volatile.Read(ref checkpointSentAt);
        TimeSpan checkpoint = sentAt == 0 ? TimeSpan.Zero : time.GetElapsedTime(sentAt);
        TimeSpan oldest = quorum.OldestForward();
        oldest = checkpoint > oldest ? checkpoint : oldest;
        if (oldest >= options.ForwardTimeout)
        {
            ForwardFailed($"a forward is unanswered for {oldest.TotalSeconds:F1} s", BlockStatus.IoError);
        }
    }

    private async Task GoAloneAndWaitAsync(string reason, CancellationToken token)
    {
        BeginGoingAlone(reason, BlockStatus.Ok, [ServeState.Replicating, ServeState.Waiting]);
        while (true)
        {
            Task changed = serve.Changed;
            switch (serve.State)
            {
                case ServeState.Alone:
                    return;
                case ServeState.Fenced or ServeState.Closed:
                    throw new ReplicationException(ReplicationFault.Superseded, serve.Reason);
            }

            await changed.WaitAsync(token);
        }
    }

    /// <param name="reason">For people.</param>
    /// <param name="status">Ok where it was wished for; otherwise error 2 is latched.</param>
    /// <param name="from">Does nothing in any other state.</param>
    private void BeginGoingAlone(string reason, BlockStatus status, ReadOnlySpan<ServeState> from)
    {
        if (!serve.TryChange(from, ServeState.Suspended, reason, out _))
        {
            return;
        }

        if (status != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.Forward, status, reason);
        }

        lock (tasksGate)
        {
            goingAlone = Task.Run(() => GoAloneAsync(reason));
            tasks.RemoveAll(static task => task.IsCompleted);
            tasks.Add(goingAlone);
        }
    }

    /// <summary>First the record, then the acknowledgements: the order that lets no acknowledged write be lost.</summary>
    private async Task GoAloneAsync(string reason)
    {
        LetGoOfSecondary();
        if (await records.SetStaleAsync(closing.Token) == RecordOutcome.Superseded)
        {
            Fence($"the record says {records.Current}");
            return;
        }

        replica.ForgetDivergence();
        Volatile.Write(ref unsure, null);
        Serve([ServeState.Suspended], ServeState.Alone, reason);
    }

    private void LetGoOfSecondary()
    {
        Interlocked.Exchange(ref attachment, null)?.Stop();
        if (quorum.RemoveChild() is { } link)
        {
            // Answers the forwards that are pending; it may take as long as a hung peer likes, and nobody waits for it but Dispose.
            Own(Task.Run(async () => await link.DisposeAsync()));
        }
    }

    private void Fence(string reason)
    {
        if (Serve(
            [ServeState.Confirming, ServeState.Waiting, ServeState.Replicating, ServeState.Suspended, ServeState.Alone],
            ServeState.Fenced,
            reason))
        {
            confirmed.TrySetException(new ReplicationException(ReplicationFault.Superseded, $"{options.Term} is over: {reason}"));
            LetGoOfSecondary();
        }
    }

    private bool Serve(ReadOnlySpan<ServeState> from, ServeState to, string reason)
    {
        bool done = serve.TryChange(from, to, reason, out QuorumRequest[] released);
        replica.EndHeld(released);
        return done;
    }

    private void Enter(ReplicationState next)
    {
        State = next;
        observer.StateChanged(next);
    }

    private void Own(Task task)
    {
        lock (tasksGate)
        {
            tasks.RemoveAll(static ended => ended.IsCompleted);
            tasks.Add(task);
        }
    }
}
