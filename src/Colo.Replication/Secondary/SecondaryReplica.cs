using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The secondary's side: the disk that takes the primary's writes, the buffers, and what is served from them. This type holds the four
/// calls; the requests go through <see cref="ReplicationTarget"/>, <see cref="VmView"/> and <see cref="ServingDevice"/>. Calls run one at
/// a time.
/// </summary>
public sealed class SecondaryReplica : IAsyncDisposable
{
    private readonly IBlockDevice disk;
    private readonly SecondaryLineage lineage;
    private readonly EpochPairs pairs;
    private readonly TermGuard terms;
    private readonly TimeProvider time;
    private readonly IReplicationObserver observer;
    private readonly ErrorLatch errors;
    private readonly SecondaryStack stack;
    private readonly SemaphoreSlim calls = new(1);
    private readonly CancellationTokenSource closing = new();
    private Term endedUnder;
    private int state;

    private SecondaryReplica(
        SecondaryReplicaOptions options,
        IBlockDevice disk,
        IEpochStore epochs,
        TermGuard terms,
        ReplicaLineage? lineage,
        TimeProvider time,
        IReplicationObserver observer)
    {
        this.disk = disk;
        this.terms = terms;
        this.time = time;
        this.observer = observer;
        errors = new ErrorLatch(time, observer);
        stack = new SecondaryStack(disk, options.Buffer, terms, errors, time, observer);
        this.lineage = new SecondaryLineage(lineage, disk, stack);
        pairs = new EpochPairs(epochs, disk.LengthBytes, errors);
        VmView = new VmView(stack, errors);
        ServingDevice = new ServingDevice(stack);
    }

    /// <summary>The highest term seen.</summary>
    public Term Term => terms.Seen;

    public ReplicationState State => (ReplicationState)Volatile.Read(ref state);

    /// <summary>The open epoch; 0 before the first start.</summary>
    public long Epoch => stack.Buffers?.Pair.Epoch ?? 0;

    /// <summary>The secondary disk is being filled: its newest content is not to be promoted until the first checkpoint.</summary>
    public bool IsFilling => stack.IsFilling;

    /// <summary>There is a last checkpoint to see and to fail over to; while it is being filled, the content from before.</summary>
    public bool HasView => stack.HasView;

    /// <summary>It is being filled, and what it held before can still be promoted (LastCheckpoint).</summary>
    public bool HoldsOlder => stack is { IsFilling: true, HasView: true };

    public CheckpointReport? LastCheckpoint { get; private set; }

    /// <summary>What hidden and active disk take now.</summary>
    public long BufferedBytes => stack.Buffers?.AllocatedBytes ?? 0;

    /// <summary>What the secondary VM sees: active over hidden over secondary disk. Refuses with Shutdown while there is no such view.</summary>
    public IBlockDevice VmView { get; }

    /// <summary>The promoted disk: refuses with Shutdown until Stop(failover), serves from then on (also while the buffer is committed).
    /// Disposing it does nothing.</summary>
    public IBlockDevice ServingDevice { get; }

    /// <summary>The end of the background commit of a failover: true where the state is Done.</summary>
    public Task<bool> CommitCompletion { get; private set; } = Task.FromResult(true);

    /// <summary>Opens the secondary, and adopts the buffers that a previous process left: Running where replication ran, Failover (and
    /// commits again) where it was being promoted, Done where it was.</summary>
    /// <param name="options">Which volume.</param>
    /// <param name="secondaryDisk">Not owned: the caller disposes it afterwards.</param>
    /// <param name="epochs">Of this replica; its pairs are disposed with the replica, their files stay.</param>
    /// <param name="terms">Of this node and volume.</param>
    /// <param name="term">Under which this node is secondary.</param>
    /// <param name="time">Of all timeouts.</param>
    /// <param name="observer">Told what happens.</param>
    /// <param name="lineage">Of this replica, not owned; null: it keeps none, and is always filled by a full copy.</param>
    /// <exception cref="StaleTermException">this node has seen a higher term.</exception>
    /// <exception cref="ReplicationException">the buffers that a failover needs are gone.</exception>
    public static async ValueTask<SecondaryReplica> OpenAsync(
        SecondaryReplicaOptions options,
        IBlockDevice secondaryDisk,
        IEpochStore epochs,
        ITermStore terms,
        Term term,
        TimeProvider time,
        IReplicationObserver? observer = null,
        ReplicaLineage? lineage = null)
    {
        TermGuard guard = await TermGuard.OpenAsync(terms);
        await guard.AcceptAsync(term);
        SecondaryReplica replica = new(options, secondaryDisk, epochs, guard, lineage, time, observer ?? SilentObserver.Instance);
        await replica.AdoptAsync();
        return replica;
    }

    /// <summary>What a primary of <paramref name="term"/> writes to; make one for each connection or export. Refuses with Shutdown before
    /// Start, once a higher term was seen, and once promoted. Disposing it ends that access, not the replica.</summary>
    /// <exception cref="StaleTermException">this node has seen a higher term.</exception>
    public ReplicationTarget OpenTarget(Term term)
    {
        terms.Refuse(term);
        return new(this, stack, term);
    }

    /// <summary>Empties both buffers and begins copy-before-write.</summary>
    /// <param name="term">Of the primary to come.</param>
    /// <param name="filling">A resync follows. What the disk holds now is kept in the buffers until the first checkpoint, where it is
    /// known to be of one moment and there is room for it; otherwise nothing is copied before write, and there is no view.</param>
    public async ValueTask StartAsync(Term term, bool filling)
    {
        await terms.AcceptAsync(term);
        await calls.WaitAsync(CancellationToken.None);
        try
        {
            ReplicationState next = ReplicationTransitions.Next(State, filling ? ReplicationEvent.Refill : ReplicationEvent.Start);
            if (IsOver)
            {
                RefuseNewTerm(term);
                return;
            }

            EpochBuffers fresh = await pairs.TakeAsync();
            await pairs.RequireEmptiableAsync(fresh);
            LatchedError? before = errors.First;
            await SwapAsync(
                fresh, !filling ? EpochPhase.Replicating : lineage.IsOfOneMoment ? EpochPhase.FillingOverOlder : EpochPhase.Filling);
            lineage.ExpectAnnouncement();
            errors.ClearIf(before);
            Enter(next);
        }
        finally
        {
            calls.Release();
        }
    }

    /// <summary>Drops both buffers at once: what the VM sees is now the secondary disk. Every forward called before belongs to the epoch
    /// that this closes, every one called after to the next.</summary>
    /// <exception cref="ReplicationException"><see cref="ReplicationFault.CheckpointFailed"/>: a write of the epoch was not applied, or
    /// the buffers could not be emptied; the epoch stays open.</exception>
    public ValueTask<CheckpointReport> CheckpointAsync(Term term)
    {
        terms.Refuse(term);

        // Before anything is awaited: what is called after this call must find the gate closed.
        stack.Gate.Hold();
        return CheckpointHeldAsync(term);
    }

    /// <summary>What this replica shows of its lineage to a primary; null where it keeps none.</summary>
    public LineageReport? ReportLineage() => lineage.Report();

    /// <summary>A primary says, before its first write, what this replica is or will be; durable when it returns.</summary>
    /// <exception cref="ReplicationException">not started, of an older term, or the primary's state was rolled back.</exception>
    public async ValueTask AnnounceAsync(LineageAnnouncement announcement)
    {
        terms.Refuse(announcement.Term);
        await calls.WaitAsync(CancellationToken.None);
        try
        {
            await lineage.AnnounceAsync(announcement);
        }
        finally
        {
            calls.Release();
        }
    }

    /// <summary>For a status: of whatever term, also of one that is over.</summary>
    public LatchedError? FirstError => errors.First;

    public LatchedError? GetError(Term term)
    {
        terms.Refuse(term);
        return errors.First;
    }

    /// <summary>Failover: serves what <paramref name="recoveryPoint"/> says, at once. Otherwise: a last checkpoint, then done.</summary>
    /// <exception cref="ReplicationException">the disk is being filled, or there is no last checkpoint.</exception>
    public async ValueTask StopAsync(Term term, bool failover, RecoveryPoint recoveryPoint)
    {
        // From here on the old primary's forwards are refused, whatever becomes of the rest.
        await terms.AcceptAsync(term);
        stack.Gate.Hold();
        try
        {
            await calls.WaitAsync(CancellationToken.None);
            try
            {
                await StopHeldAsync(term, failover, recoveryPoint);
            }
            finally
            {
                calls.Release();
            }
        }
        finally
        {
            stack.Gate.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        await CommitCompletion;
        stack.Gate.Hold();
        await stack.Gate.DrainAsync();
        stack.Serve = SecondaryServe.Nothing;
        stack.Buffers?.Ended.TrySetResult();
        stack.Gate.Release();
        await pairs.DisposeAsync(stack.Buffers);
    }

    /// <summary>The first write of a primary that announced nothing. False where that cannot be stored.</summary>
    internal ValueTask<bool> TryForgetLineageAsync() => lineage.TryForgetAsync();

    /// <summary>No room for the older content: from here on there is none, durably, before anything more is overwritten.</summary>
    internal async ValueTask<bool> TryGiveUpOlderAsync()
    {
        await calls.WaitAsync(CancellationToken.None);
        try
        {
            bool isDue = HoldsOlder && State == ReplicationState.Running;
            if (isDue && !await pairs.TryCommitAsync(new EpochRecord(Epoch, EpochPhase.Filling)))
            {
                return false;
            }

            stack.HasView &= !isDue;
            return true;
        }
        finally
        {
            calls.Release();
        }
    }

    private bool IsOver => State is ReplicationState.Failover or ReplicationState.FailoverFailed or ReplicationState.Done;

    private async ValueTask AdoptAsync()
    {
        (EpochRecord record, EpochBuffers? adopted) = await pairs.OpenAsync();
        stack.Buffers = adopted;
        endedUnder = terms.Seen;
        lineage.ExpectAnnouncement();
        switch (record.Phase)
        {
            case EpochPhase.FillingOverOlder when adopted is not null:
                (stack.HasView, stack.IsFilling) = (true, true);
                stack.Serve = SecondaryServe.Replicating;
                Enter(ReplicationState.Running);
                break;
            case EpochPhase.Replicating when adopted is not null:
                stack.HasView = true;
                stack.Serve = SecondaryServe.Replicating;
                Enter(ReplicationState.Running);
                break;
            case EpochPhase.Replicating or EpochPhase.Viewless:
                // The buffers died with the machine, the disk did not: it still holds every write that was flushed.
                await SwapAsync(await pairs.TakeAsync(), EpochPhase.Viewless);
                Enter(ReplicationState.Running);
                break;
            case EpochPhase.Committing when adopted is not null:
                stack.HasView = true;
                BeginCommit(adopted);
                break;
            case EpochPhase.Committing:
                throw new ReplicationException(
                    ReplicationFault.Failed,
                    "a failover was interrupted and its buffers are gone: the disk holds parts of two epochs");
            case EpochPhase.Done:
                stack.Serve = SecondaryServe.Promoted;
                Enter(ReplicationState.Done);
                break;
        }
    }

    private async ValueTask<CheckpointReport> CheckpointHeldAsync(Term term)
    {
        long begun = time.GetTimestamp();
        bool isHeld = true;
        try
        {
            await terms.AcceptAsync(term);
            await calls.WaitAsync(CancellationToken.None);
            try
            {
                ReplicationTransitions.Next(State, ReplicationEvent.Checkpoint);
                if (IsOver)
                {
                    RefuseNewTerm(term);
                    return LastCheckpoint ?? new(Epoch, TimeSpan.Zero, TimeSpan.Zero, time.GetUtcNow());
                }

                long closed = await SwapForCheckpointAsync();
                stack.Gate.Release();
                isHeld = false;
                TimeSpan pause = time.GetElapsedTime(begun);
                LastCheckpoint = new(closed, pause, pause, time.GetUtcNow());
                observer.Checkpointed(LastCheckpoint);
                return LastCheckpoint;
            }
            finally
            {
                calls.Release();
            }
        }
        finally
        {
            if (isHeld)
            {
                stack.Gate.Release();
            }
        }
    }

    /// <summary>Closes the open epoch; its number.</summary>
    private async ValueTask<long> SwapForCheckpointAsync()
    {
        await stack.Gate.DrainAsync();
        if (stack.ForwardFailure is { } failure)
        {
            throw new ReplicationException(
                ReplicationFault.CheckpointFailed, $"epoch {Epoch} cannot be closed: a write of it was not applied; {failure}", failure);
        }

        long closed = Epoch;
        LatchedError? before = errors.First;
        try
        {
            // Before the swap, which gives the older content up.
            await lineage.FilledAsync();
            await SwapAsync(await pairs.TakeAsync(), EpochPhase.Replicating);
        }
        catch (ReplicationException e) when (e.Fault != ReplicationFault.CheckpointFailed)
        {
            throw new ReplicationException(
                ReplicationFault.CheckpointFailed, $"epoch {closed} cannot be closed: {e.Message}", e.Error, e);
        }

        errors.ClearIf(before);
        return closed;
    }

    /// <summary>From one pair of buffers to the next: one small commit, whatever the old pair holds.</summary>
    private async ValueTask SwapAsync(EpochBuffers fresh, EpochPhase phase)
    {
        stack.Gate.Hold();
        try
        {
            await stack.Gate.DrainAsync();
            await pairs.CommitAsync(new EpochRecord(fresh.Pair.Epoch, phase), fresh);
            EpochBuffers? old = stack.Buffers;
            stack.Buffers = fresh;
            stack.IsFilling = phase is EpochPhase.Filling or EpochPhase.FillingOverOlder;
            stack.HasView = phase is EpochPhase.Replicating or EpochPhase.FillingOverOlder;
            stack.ForgetForwardFailure();
            stack.Serve = SecondaryServe.Replicating;
            old?.Ended.TrySetResult();
            pairs.DropAndPrepare(old, fresh.Pair.Epoch + 1);
        }
        finally
        {
            stack.Gate.Release();
        }
    }

    private async ValueTask StopHeldAsync(Term term, bool failover, RecoveryPoint recoveryPoint)
    {
        bool commits = failover && recoveryPoint == RecoveryPoint.LastCheckpoint;
        ReplicationState next = ReplicationTransitions.Next(
            State,
            commits ? ReplicationEvent.FailoverWithCommit : failover ? ReplicationEvent.FailoverAtOnce : ReplicationEvent.Stop);
        if (State == ReplicationState.FailoverFailed && failover)
        {
            RetryCommit(term);
            return;
        }

        if (IsOver)
        {
            RefuseNewTerm(term);
            return;
        }

        lineage.RequirePromotable(commits);
        if (!failover)
        {
            await SwapForCheckpointAsync();
        }

        await stack.Gate.DrainAsync();
        endedUnder = term;
        if (commits)
        {
            await lineage.RollBackAsync(stack.Buffers!);
            await pairs.CommitAsync(new EpochRecord(Epoch, EpochPhase.Committing), taken: null);
            BeginCommit(stack.Buffers!);
            return;
        }

        await pairs.CommitAsync(new EpochRecord(Epoch, EpochPhase.Done), taken: null);
        Promote(next);
    }

    private void BeginCommit(EpochBuffers buffered)
    {
        stack.Commit = new FailoverCommit(disk, buffered, stack.View, errors);
        stack.Serve = SecondaryServe.Committing;
        Enter(ReplicationState.Failover);
        buffered.Ended.TrySetResult();
        CommitCompletion = Task.Run(CommitAsync);
    }

    private void RetryCommit(Term term)
    {
        endedUnder = term;
        stack.Commit!.HasFailed = false;
        Enter(ReplicationState.Failover);
        CommitCompletion = Task.Run(CommitAsync);
    }

    private async Task<bool> CommitAsync()
    {
        bool committed;
        try
        {
            committed = await stack.Commit!.RunAsync(closing.Token);
        }
        catch (OperationCanceledException)
        {
            // Closed in the middle: the record still says Committing, and whoever opens the replica next does it again.
            return false;
        }

        await calls.WaitAsync(CancellationToken.None);
        stack.Gate.Hold();
        try
        {
            await stack.Gate.DrainAsync();
            if (committed && await stack.Commit!.TryRecordAsync(pairs, Epoch))
            {
                Promote(ReplicationTransitions.Next(State, ReplicationEvent.CommitDone));
                return true;
            }

            stack.Commit!.HasFailed = true;
            Enter(ReplicationTransitions.Next(State, ReplicationEvent.CommitFailed));
            return false;
        }
        finally
        {
            stack.Gate.Release();
            calls.Release();
        }
    }

    /// <summary>With the gate held: the secondary disk alone is served from here on.</summary>
    private void Promote(ReplicationState next)
    {
        EpochBuffers? old = stack.Buffers;
        stack.Serve = SecondaryServe.Promoted;
        stack.HasView = false;
        stack.Buffers = null;
        stack.Commit = null;
        old?.Ended.TrySetResult();
        pairs.Drop(old);
        Enter(next);
    }

    private void RefuseNewTerm(Term term)
    {
        if (term > endedUnder)
        {
            throw new ReplicationException(
                ReplicationFault.WrongState,
                $"this replica ended its replication under {endedUnder}: under {term} it has to be prepared in its new role");
        }
    }

    private void Enter(ReplicationState next)
    {
        Volatile.Write(ref state, (int)next);
        observer.StateChanged(next);
    }
}
