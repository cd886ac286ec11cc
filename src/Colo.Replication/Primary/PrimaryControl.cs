using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The calls on a primary, one at a time, and the state of its replication. What a call does is in the parts that it is handed; losing
/// the secondary and being fenced interrupt it.
/// </summary>
internal sealed class PrimaryControl(
    PrimaryReplicaOptions options,
    PrimaryTerm reign,
    SecondaryAttach attach,
    AttachedSecondary secondary,
    GoingAlone goingAlone,
    PrimaryCheckpoint checkpoint,
    ForwardWatchdog watchdog,
    ServeSwitch serve,
    ErrorLatch errors,
    SemaphoreSlim calls,
    OwnedTasks tasks,
    TimeProvider time,
    IReplicationObserver observer) : IAsyncDisposable
{
    public ReplicationState State { get; private set; }

    public void Begin()
    {
        watchdog.Start();
        tasks.Own(Task.Run(ConfirmAsync));
    }

    public async ValueTask AttachAsync(Term term, IReplicationLink link, ResyncMode mode, CancellationToken token)
    {
        bool attached = false;
        try
        {
            await reign.CheckAsync(term);
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
        await reign.CheckAsync(term);
        await reign.Confirmed.WaitAsync(token);
        await goingAlone.BeginAndWaitAsync("the secondary was detached", token);
    }

    public async ValueTask<CheckpointReport> CheckpointAsync(Term term, CancellationToken token)
    {
        await reign.CheckAsync(term);
        await calls.WaitAsync(token);
        try
        {
            ReplicationTransitions.Next(State, ReplicationEvent.Checkpoint);
            return State == ReplicationState.Running
                ? await checkpoint.CloseEpochAsync(token)
                : checkpoint.Last ?? new(checkpoint.Epoch, TimeSpan.Zero, TimeSpan.Zero, time.GetUtcNow());
        }
        finally
        {
            calls.Release();
        }
    }

    public LatchedError? FirstError => errors.First;

    public LatchedError? GetError(Term term)
    {
        reign.Refuse(term);
        return errors.First;
    }

    public async ValueTask StopAsync(Term term, bool failover, CancellationToken token)
    {
        await reign.CheckAsync(term);
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
                await checkpoint.CloseEpochAsync(token);
            }

            await goingAlone.BeginAndWaitAsync(failover ? "failover: goes on alone" : "replication was stopped", token);
            Enter(next);
        }
        finally
        {
            calls.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        serve.TryChange(
            [ServeState.Confirming, ServeState.Waiting, ServeState.Replicating, ServeState.Suspended, ServeState.Alone, ServeState.Fenced],
            ServeState.Closed,
            "closed");
        reign.Close();
        await tasks.CancelAsync();
        await watchdog.DisposeAsync();
        secondary.LetGo();
        await tasks.EndAsync();
    }

    private async Task ConfirmAsync()
    {
        if (await ConfirmTermAsync())
        {
            await Task.Delay(options.AttachTimeout, time, tasks.Closing);
            goingAlone.Begin(
                $"the secondary was not attached within {options.AttachTimeout}", BlockStatus.Shutdown, [ServeState.Waiting]);
        }
    }

    /// <summary>Until the lineage can be written: a state directory that fails for a moment must not leave the guest waiting for ever.</summary>
    private async Task<bool> ConfirmTermAsync()
    {
        while (true)
        {
            try
            {
                return await reign.ConfirmAsync(tasks.Closing);
            }
            catch (IOException e)
            {
                errors.Report(ReplicationError.PrimaryDisk, BlockStatus.IoError, $"the map of dirty grains cannot be begun: {e.Message}");
                await Task.Delay(options.ArbiterRetryLast, time, tasks.Closing);
            }
        }
    }

    private async Task<bool> AttachOneAsync(IReplicationLink link, ResyncMode mode, CancellationToken token)
    {
        if (State == ReplicationState.Done)
        {
            return false;
        }

        await reign.Confirmed.WaitAsync(token);
        Attachment added = await attach.ForwardToAsync(link, mode, token);
        if (State == ReplicationState.None)
        {
            Enter(ReplicationTransitions.Next(State, ReplicationEvent.Start));
        }

        await attach.BringInSyncAsync(added, token);
        return true;
    }

    private void Enter(ReplicationState next)
    {
        State = next;
        observer.StateChanged(next);
    }
}
