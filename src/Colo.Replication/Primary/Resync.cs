using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// Brings an attached secondary in sync: <see cref="ResyncCopy"/> makes it equal, and what follows makes that durable, closes the first
/// epoch and records InSync. One at a time; a secondary that is lost ends it.
/// </summary>
internal sealed class Resync(
    PrimaryReplicaOptions options,
    PrimaryTerm term,
    GoingAlone goingAlone,
    PrimaryCheckpoint checkpoint,
    Quorum quorum,
    RequestGate gate,
    RangeLock inFlight,
    ServeSwitch serve,
    ErrorLatch errors,
    Divergence divergence,
    ReplicaLineage? lineage,
    SemaphoreSlim calls,
    OwnedTasks tasks,
    TimeProvider time,
    IReplicationObserver observer)
{
    private ResyncCopy? latest;

    /// <summary>Of the one that runs or ran last.</summary>
    public ResyncProgress? Progress => Volatile.Read(ref latest)?.Progress;

    public Task<bool> Completion { get; private set; } = Task.FromResult(true);

    /// <summary>Before the switch to Replicating: it releases reads that settle their range through this very copy.</summary>
    public void Prepare(Attachment filled) =>
        Volatile.Write(ref latest, new ResyncCopy(filled, quorum, gate, inFlight, lineage, options, time, observer));

    /// <summary>The switch did not happen: what was prepared never runs.</summary>
    public void Abandon(string reason) => Volatile.Read(ref latest)?.End(completed: false, reason);

    public void Start(Attachment filled)
    {
        ResyncCopy copy = Volatile.Read(ref latest) ?? throw new InvalidOperationException("the resync is started before it was prepared");
        Completion = Task.Run(() => RunAsync(copy, filled));
        tasks.Own(Completion);
    }

    /// <summary>Makes one range equal ahead of its turn, for a read that waits for it.</summary>
    public async ValueTask<bool> SettleAsync(BlockRange range)
    {
        ResyncCopy? running = Volatile.Read(ref latest);
        if (running is null || await running.CopyAsync(range))
        {
            return running is not null;
        }

        CopyFailed(running);
        return false;
    }

    private async Task<bool> RunAsync(ResyncCopy copy, Attachment filled)
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
                done = await FinishAsync(filled);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ReplicationException or IOException)
        {
            copy.End(completed: false, e.Message);
            return false;
        }

        copy.End(done);
        return done;
    }

    /// <summary>InSync only after durable answers; and with a checkpoint before, so that a promotion finds a view of one moment.</summary>
    private async Task<bool> FinishAsync(Attachment filled)
    {
        BlockStatus remote = await filled.Link.FlushAsync();
        if (remote != BlockStatus.Ok)
        {
            goingAlone.ForwardFailed($"the flush that ends the resync was answered {remote}", remote);
            return false;
        }

        BlockStatus flushed = await quorum.Local.FlushAsync();
        if (flushed != BlockStatus.Ok)
        {
            errors.Report(ReplicationError.PrimaryDisk, flushed, $"the flush that ends the resync: {flushed}");
            goingAlone.Begin("the primary disk cannot be flushed", flushed, [ServeState.Replicating]);
            return false;
        }

        if (filled.Mode == ResyncMode.Recopy)
        {
            divergence.Unsure = null;
            return await EndMapAsync(filled);
        }

        await calls.WaitAsync(filled.Stopped);
        try
        {
            await checkpoint.CloseEpochAsync(filled, filled.Stopped);
            if (!await EndMapAsync(filled))
            {
                return false;
            }

            await term.RecordAsync(filled.Link.PeerNode, SecondaryState.InSync, filled.Stopped);
            filled.IsReadable = true;
            return serve.State == ServeState.Replicating;
        }
        catch (ReplicationException e) when (e.Fault == ReplicationFault.CheckpointFailed)
        {
            goingAlone.ForwardFailed(e.Message, BlockStatus.IoError);
            return false;
        }
        finally
        {
            calls.Release();
        }
    }

    /// <summary>The secondary has said that it is durably equal: the map is over, before the record says InSync.</summary>
    private async ValueTask<bool> EndMapAsync(Attachment filled) => lineage is null || await lineage.TryEndAsync(filled.Number);

    private void CopyFailed(ResyncCopy copy)
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

        goingAlone.ForwardFailed($"resync: {reason}", copy.FailedStatus);
    }
}
